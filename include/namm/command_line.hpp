#pragma once

namespace namm {

/// The program `namm`: `argv` as of main(), the exit code for it. A program of your own that registers policies and strategies
/// first has every command with them: my-namm evolve --policy mine, my-namm eval --policy mine,h2o. Nothing is thrown.
int run_command_line(int argc, const char* const* argv);

}  // namespace namm
