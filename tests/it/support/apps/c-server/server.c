#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "answer.h"

int main(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int listening = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    char request[4096];

    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, 16)) {
        perror("server");
        return 1;
    }
    for (;;) {
        int client = accept(listening, NULL, NULL);
        if (client < 0)
            continue;
        if (read(client, request, sizeof request) > 0)
            answer(client);
        close(client);
    }
}
