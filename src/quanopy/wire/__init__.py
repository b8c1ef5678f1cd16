"""Version 1 of the API's words: request and response models, shared by server and client."""
