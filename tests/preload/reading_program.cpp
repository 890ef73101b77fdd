// Ends while a thread of its own waits for input, with something in a file that is not closed:
//   reading_program FILE
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

int main(int, char** arguments) {
  int ends[2];
  if (pipe(ends) != 0 || dup2(ends[0], STDIN_FILENO) < 0) return 3;
  std::FILE* const file = std::fopen(arguments[1], "w");
  if (!file) return 4;
  std::fputs("written", file);
  std::thread([] {
    char line[16];
    if (std::fgets(line, sizeof line, stdin)) std::puts(line);
  }).detach();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  return 0;
}
