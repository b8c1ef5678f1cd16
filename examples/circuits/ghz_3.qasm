OPENQASM 2.0;
// Greenberger-Horne-Zeilinger state of 3 qubits: 000 or 111, half and half.
include "qelib1.inc";
qreg q[3];
creg c[3];
h q[0];
cx q[0],q[1];
cx q[1],q[2];
measure q[0] -> c[0];
measure q[1] -> c[1];
measure q[2] -> c[2];
