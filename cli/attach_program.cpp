#include "cli/attach_program.hpp"

#include <elf.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "base/nearest_names.hpp"

namespace namm::cli {
namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

/// True if the file is a program for this kind of machine that asks for no dynamic loader.
bool is_static(const fs::path& program) {
  std::ifstream in(program, std::ios::binary);
  Elf64_Ehdr head{};
  if (!in.read(reinterpret_cast<char*>(&head), sizeof head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return false;
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(Elf64_Phdr)) return false;
  in.seekg(static_cast<std::streamoff>(head.e_phoff));
  for (int i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr part{};
    if (!in.read(reinterpret_cast<char*>(&part), sizeof part) || part.p_type == PT_INTERP) return false;
  }
  return true;
}

}  // namespace

fs::path find_program(const std::string& name) {
  std::error_code ignored;
  if (name.find('/') != std::string::npos) {
    if (!fs::exists(name, ignored))
      throw std::runtime_error(name + ": must be a program, cannot be found; check its path behind '--'");
    return name;  // whoever starts it says what else is wrong
  }
  const bool of_llama = name.starts_with("llama-");
  std::vector<fs::path> folders;
  if (of_llama) {
    folders.push_back(fs::read_symlink("/proc/self/exe").parent_path());
    folders.emplace_back(NAMM_LLAMA_PROGRAMS);
  }
  const char* const path = std::getenv("PATH");
  std::istringstream listed(path != nullptr ? path : "/bin:/usr/bin");
  for (std::string folder; std::getline(listed, folder, ':');) folders.emplace_back(folder.empty() ? "." : folder);
  for (const fs::path& folder : folders)
    if (is_program(folder / name)) return folder / name;
  if (of_llama)
    throw std::runtime_error(name +
                             " not found beside namm, in build/llama/bin and on the PATH; build it with `bash cmake/setup.sh "
                             "--with-server`, or give its path behind '--'");
  constexpr std::string_view kPrograms[] = {"llama-server", "llama-cli", "llama-completion", "llama-bench"};
  const std::string meant = probable_name(name, kPrograms);
  throw std::runtime_error(name + " not found on the PATH; " + (meant.empty() ? "" : "did you mean " + meant + "? Else ") +
                           "give its path behind '--', for example -- ./" + name);
}

void check_preloadable(const fs::path& program) {
  if (is_static(program))
    throw std::runtime_error(
        program.string() +
        ": must be linked dynamically for a policy to attach, is linked statically; use one that is built with "
        "shared libraries (bash cmake/setup.sh --with-server builds llama-server)");
  struct stat facts {};
  if (stat(program.c_str(), &facts) != 0) return;
  const bool other_user = (facts.st_mode & S_ISUID) && facts.st_uid != geteuid();
  const bool other_group = (facts.st_mode & S_ISGID) && facts.st_gid != getegid();
  const bool capable = geteuid() != 0 && getxattr(program.c_str(), "security.capability", nullptr, 0) > 0;
  if (other_user || other_group || capable)
    throw std::runtime_error(program.string() + ": must run with its user's rights for a policy to attach, has " +
                             (capable      ? "file capabilities"
                              : other_user ? "the set-user-ID bit"
                                           : "the set-group-ID bit") +
                             ", for which the system leaves preloaded libraries out; start a copy without (cp PROGRAM COPY)");
}

void check_preload_path(const fs::path& library) {
  if (library.string().find_first_of(" \t\n:") != std::string::npos)
    throw std::runtime_error(
        "library " + library.string() +
        ": must lie in a folder without blanks and colons, which split LD_PRELOAD, does not; move or install "
        "namm elsewhere");
}

}  // namespace namm::cli
