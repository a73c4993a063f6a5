#include "answer.h"

#include <string.h>
#include <unistd.h>

static const char RESPONSE[] =
    "HTTP/1.0 200 OK\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 13\r\n"
    "\r\n"
    "hello from C\n";

int answer(int socket)
{
    return write(socket, RESPONSE, strlen(RESPONSE)) < 0;
}
