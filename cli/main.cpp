#include "namm/command_line.hpp"

int main(int argc, char** argv) {
  return namm::run_command_line(argc, argv);
}
