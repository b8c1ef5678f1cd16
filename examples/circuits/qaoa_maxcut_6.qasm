OPENQASM 3.0;
// QAOA with two layers for the maximum cut of a ring of 6 nodes with one chord, at good
// angles: expected cut 6.00 of 7; 101010 and 010101 cut all seven edges.
include "stdgates.inc";
gate rzz(p0) _gate_q_0, _gate_q_1 {
  cx _gate_q_0, _gate_q_1;
  rz(p0) _gate_q_1;
  cx _gate_q_0, _gate_q_1;
}
bit[6] c;
qubit[6] q;
h q[0];
h q[1];
h q[2];
h q[3];
h q[4];
h q[5];
rzz(0.583) q[0], q[1];
rzz(0.583) q[1], q[2];
rzz(0.583) q[2], q[3];
rzz(0.583) q[3], q[4];
rzz(0.583) q[4], q[5];
rzz(0.583) q[5], q[0];
rzz(0.583) q[0], q[3];
rx(-1.17) q[0];
rx(-1.17) q[1];
rx(-1.17) q[2];
rx(-1.17) q[3];
rx(-1.17) q[4];
rx(-1.17) q[5];
rzz(0.9808) q[0], q[1];
rzz(0.9808) q[1], q[2];
rzz(0.9808) q[2], q[3];
rzz(0.9808) q[3], q[4];
rzz(0.9808) q[4], q[5];
rzz(0.9808) q[5], q[0];
rzz(0.9808) q[0], q[3];
rx(-0.7328) q[0];
rx(-0.7328) q[1];
rx(-0.7328) q[2];
rx(-0.7328) q[3];
rx(-0.7328) q[4];
rx(-0.7328) q[5];
c[0] = measure q[0];
c[1] = measure q[1];
c[2] = measure q[2];
c[3] = measure q[3];
c[4] = measure q[4];
c[5] = measure q[5];
