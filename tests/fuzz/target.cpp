#include "tests/fuzz/target.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "tests/fuzz/targets.hpp"

namespace namm::fuzz {
namespace {

constexpr std::size_t kLongestRefusal = 2000;

[[noreturn]] void finding(const Target& target, const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", std::string(target.name).c_str(), what.c_str());
  std::abort();
}

/// In memory, where that is mounted: a million files are written.
std::filesystem::path scratch_file() {
  const std::filesystem::path memory = "/dev/shm";
  std::error_code ignored;
  return (std::filesystem::is_directory(memory, ignored) ? memory : std::filesystem::temp_directory_path()) /
         ("namm-fuzz-" + std::to_string(::getpid()));
}

/// Removed at the end of the process.
struct Scratch {
  std::filesystem::path path = scratch_file();
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

void check_refusal(const Target& target, const std::string& message) {
  const bool visible = std::all_of(message.begin(), message.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (message.empty() || !visible || message.size() > kLongestRefusal)
    finding(target, "a refusal that is not one line of visible text: " + message);
}

}  // namespace

std::span<const Target> targets() {
  static const Target all[] = {gguf_target(),        policy_target(),   tensors_target(), checkpoint_target(), trace_target(),
                               calibration_target(), prompts_target(),  results_target(), details_target(),    slot_target(),
                               session_target(),     sequence_target(), config_target()};
  return all;
}

bool try_target(const Target& target, std::string_view content) {
  static const Scratch scratch;
  std::ofstream(scratch.path, std::ios::binary | std::ios::trunc)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
  try {
    target.read(scratch.path);
    return true;
  } catch (const std::runtime_error& error) {
    check_refusal(target, error.what());
  } catch (const std::invalid_argument& error) {
    check_refusal(target, error.what());
  } catch (const std::exception& error) {
    finding(target, std::string("an exception that is no refusal: ") + error.what());
  }
  return false;
}

}  // namespace namm::fuzz
