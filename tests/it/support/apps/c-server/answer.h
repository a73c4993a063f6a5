/* Writes an HTTP response to a socket; 0 if it could. */
int answer(int socket);
