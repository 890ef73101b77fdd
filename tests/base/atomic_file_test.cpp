#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/append_file.hpp"
#include "base/json_lines.hpp"
#include "tests/check.hpp"

using namm::append_whole;
using namm::create_file_atomically;
using namm::write_file_atomically;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / ("namm_atomic_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string refusal(const fs::path& path, std::string_view content) {
  try {
    write_file_atomically(path, content);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "written";
}

}  // namespace

TEST_CASE("A file is written and replaced as a whole") {
  const Folder folder;
  const fs::path path = folder.path / "file";
  write_file_atomically(path, "one");
  CHECK(read(path) == "one");
  ::chmod(path.c_str(), 0640);
  const std::string large(3 << 20, 'x');
  write_file_atomically(path, large);
  CHECK(read(path) == large);
  CHECK((fs::status(path).permissions() & fs::perms::mask) == fs::perms(0640));
  write_file_atomically(path, "");
  CHECK(read(path).empty());
  fs::create_symlink(path, folder.path / "link");
  write_file_atomically(folder.path / "link", "through");
  CHECK(fs::is_symlink(folder.path / "link"));
  CHECK(read(path) == "through");
  CHECK(folder.files() == 2);
}

TEST_CASE("What cannot be written is said with the system's reason, and nothing is left behind") {
  const Folder folder;
  CHECK(refusal(folder.path / "absent" / "file", "x").find("No such file or directory") != std::string::npos);
  CHECK(refusal(folder.path, "x").find("Is a directory") != std::string::npos);
  CHECK(refusal(folder.path / std::string(300, 'n'), "x").find("File name too long") != std::string::npos);
  CHECK(folder.files() == 0);
}

TEST_CASE("Devices are written to, not replaced; a full one is an error") {
  if (!fs::exists("/dev/full")) return;
  CHECK(refusal("/dev/null", "x") == "written");
  CHECK(fs::is_character_file("/dev/null"));
  CHECK(refusal("/dev/full", "x").starts_with("/dev/full: could not be written (write): No space left on device"));
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("A disk without room leaves the old file and no temporary one") {
  const Folder folder;
  const fs::path path = folder.path / "file";
  write_file_atomically(path, "old");
  // a limit on the size of files stands for the full disk; in a process of its own, because limits cannot be raised again
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message = refusal(path, std::string(5000, 'x'));
    ::_exit(message.find("File too large") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(read(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("Writers at the same time leave one whole content") {
  const Folder folder;
  const fs::path path = folder.path / "file";
  std::vector<std::thread> threads;
  for (char letter = 'a'; letter < 'e'; ++letter) {
    threads.emplace_back([&path, letter] {
      for (int i = 0; i < 20; ++i) write_file_atomically(path, std::string(10000, letter));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string content = read(path);
  CHECK(content == std::string(10000, content.at(0)));
  CHECK(folder.files() == 1);
}

TEST_CASE("What a process of the same number left behind does not stop a write, and goes with it") {
  const Folder folder;
  const fs::path path = folder.path / "left";  // looked at once in a process, so a name of its own
  constexpr int kLeft = 2000;                  // more than this program has written so far
  for (int i = 0; i < kLeft; ++i)
    std::ofstream(path.string() + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(i)) << "half";
  std::ofstream(path.string() + ".tmp.mine") << "of somebody else's";
  std::ofstream((folder.path / "other.tmp.1.2").string()) << "of another file's";
  write_file_atomically(path, "whole");
  CHECK(read(path) == "whole");
  CHECK(folder.files() == 3);
}

TEST_CASE("A temporary file is left alone as long as its writer lives") {
  const Folder folder;
  const fs::path path = folder.path / "held", held = path.string() + ".tmp.1.1";
  std::ofstream(held) << "half";
  const int writer = ::open(held.c_str(), O_WRONLY);
  REQUIRE(::flock(writer, LOCK_EX) == 0);
  write_file_atomically(path, "whole");
  CHECK(fs::exists(held));
  ::close(writer);
}

TEST_CASE("A new file is whole from its beginning, and no old one is replaced") {
  const Folder folder;
  const fs::path path = folder.path / "file";
  CHECK(create_file_atomically(path, "first"));
  CHECK_FALSE(create_file_atomically(path, "second"));
  CHECK(read(path) == "first");
  CHECK(folder.files() == 1);
  CHECK_FALSE(create_file_atomically("/dev/null", "x"));
  CHECK_THROWS_AS(create_file_atomically(folder.path / "absent" / "file", "x"), std::runtime_error);
}

TEST_CASE("What a full disk took of a line is cut off again") {
  const Folder folder;
  const fs::path path = folder.path / "lines";
  REQUIRE(append_whole(path, "one\n") == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(append_whole(path, std::string(5000, 'x')) == EFBIG ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(read(path) == "one\n");
  REQUIRE(append_whole(path, "two\n") == 0);
  CHECK(read(path) == "one\ntwo\n");
}

TEST_CASE("Lines are continued behind the last whole one, and none stands there twice") {
  const Folder folder;
  const fs::path path = folder.path / "lines.jsonl";
  std::ofstream(path) << "{\"a\":1}\n{\"a\":2}\n{\"a\":";
  {
    namm::JsonLines lines("--json", path, namm::JsonLines::Start::continued);
    lines.append({{"a", 2}});
    lines.append({{"a", 3}});
  }
  CHECK(read(path) == "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
  {
    namm::JsonLines lines("--json", path, namm::JsonLines::Start::afresh);
    CHECK(read(path).size() == 24);  // until the first line comes
    lines.append({{"a", 2}});
    lines.append({{"a", 2}});
  }
  CHECK(read(path) == "{\"a\":2}\n{\"a\":2}\n");
}
