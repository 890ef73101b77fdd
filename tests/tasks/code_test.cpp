// Tasks over source code, on a folder of made-up headers and, where there are some, on this machine's.
#include "tests/tasks/code_folder.hpp"

#include <set>

#include "tasks/code_corpus.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

namespace {

std::set<std::string> files_of(const std::string& text) {
  std::set<std::string> files;
  for (const std::string& file : between(text, "// FILE: ", "\n")) files.insert(file);
  return files;
}

}  // namespace

TEST_CASE("A corpus deals its files out to splits", "[tasks]") {
  const CodeFolder folder;
  const CodeCorpus corpus(folder.path());
  std::set<std::string> paths;
  for (const Split split : kSplits)
    for (std::size_t i = 0; i < corpus.size(split); ++i) {
      const auto file = corpus.read(split, i);
      REQUIRE(file);
      CHECK(paths.insert(file->path).second);
      CHECK(file->lines.size() == 4 + 30 * 6);
      CHECK(file->lines[2] == "#pragma once");
    }
  CHECK(paths.size() == 64);
}

TEST_CASE("What is no source file is left out", "[tasks]") {
  const CodeFolder folder;
  const std::string filler(2000, ' ');
  std::ofstream(folder.path() / "picture.png") << filler;
  std::ofstream(folder.path() / "brief.h") << "int x;\n";
  std::ofstream(folder.path() / "huge.h") << std::string(300 << 10, ' ');
  std::filesystem::create_symlink(folder.path() / "module_0" / "part_0.h", folder.path() / "link.h");
  std::filesystem::create_directory_symlink(folder.path(), folder.path() / "loop");
  const CodeCorpus corpus(folder.path());
  CHECK(corpus.size(Split::train) + corpus.size(Split::validation) + corpus.size(Split::test) == 64);
  for (int i = 0; i < 40; ++i)
    std::ofstream(folder.path() / ("binary" + std::to_string(i) + ".c")) << filler << std::string(3, '\0');
  const CodeCorpus more(folder.path());
  std::size_t unusable = 0;
  for (const Split split : kSplits)
    for (std::size_t i = 0; i < more.size(split); ++i) unusable += more.read(split, i) == nullptr;
  CHECK(unusable == 40);
}

TEST_CASE("A folder without source files is one line of error", "[tasks]") {
  const TemporaryFile lonely("one.h", std::string(2000, 'x'));
  const std::string folder = lonely.path().parent_path().string();
  const std::string message = message_of([&] { make_haystack("code:" + folder); });
  CHECK(message.starts_with("code: " + folder + " must hold source files of 1 to 256 KiB for every split, has "));
  CHECK(message.ends_with(" (1 in all); give a folder with more"));
  CHECK(message_of([&] { make_haystack("code:" + folder + "/none"); }) ==
        "code: " + folder + "/none must be a folder with source files, is not; check the path");
  const CodeFolder empty_code;  // files, but nothing to ask for
  for (const auto& file : std::filesystem::recursive_directory_iterator(empty_code.path()))
    if (file.is_regular_file()) std::ofstream(file.path()) << std::string(2000, '\n');
  for (const char* task : {"code-completion", "code-retrieval"}) {
    const auto hopeless = make_task(task, make_haystack("code:" + empty_code.path().string()));
    CHECK(message_of([&] {
            hopeless->make({Split::train, 0, 0, 500}, approximate_counter("words"));
          }).starts_with("code: files under " + empty_code.path().string() + " must "));
  }
}

TEST_CASE("Code completion: the context ends where the answer begins", "[tasks]") {
  const CodeFolder folder;
  const auto task = make_task("code-completion", make_haystack("code:" + folder.path().string()));
  std::set<std::string> files[3];
  for (const Split split : kSplits)
    for (std::uint64_t index = 0; index < 20; ++index) {
      const Sample sample = task->make({split, 0, index, 5000}, approximate_counter("words"));
      INFO(sample.id);
      REQUIRE(sample.context.starts_with("Please complete the code given below.\n"));
      const std::string file = between(sample.context, "// FILE: ", "\n").back();
      files[static_cast<std::size_t>(split)].merge(files_of(sample.context));
      std::ifstream stream(folder.path() / file);
      const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
      const std::string tail = sample.context.substr(sample.context.rfind("// FILE: ") + 9 + file.size() + 1);
      REQUIRE(text.starts_with(tail + "\n"));
      const std::string next = text.substr(tail.size() + 1, text.find('\n', tail.size() + 1) - tail.size() - 1);
      CHECK(next.substr(next.find_first_not_of(' ')) == sample.answers[0]);
      CHECK(sample.question + sample.answer_prefix == "\n\nNext line of code:\n");
      CHECK(continuation(sample, sample.answers[0]) == sample.answers[0]);
      CHECK(sample.answers[0].find_first_of("#`") == std::string::npos);
    }
  for (const std::string& file : files[0]) CHECK_FALSE((files[1].contains(file) || files[2].contains(file)));
}

TEST_CASE("Code retrieval: a macro of the source, at every depth", "[tasks]") {
  const auto task = make_task("code-retrieval", CodeFolder::haystack());
  int thirds[3] = {};
  for (std::uint64_t index = 0; index < 90; ++index) {
    const Sample sample = task->make({Split::train, 0, index, 800}, approximate_counter("words"));
    const std::string name = between(sample.question, "macro ", "?").at(0);
    const auto [offset, bytes] = sample.evidence.at(0);
    CHECK(sample.context.substr(offset, bytes) == "#define " + name + " " + sample.answers[0]);
    ++thirds[3 * offset / sample.context.size()];
  }
  for (const int count : thirds) CHECK((count > 15 && count < 45));
}

TEST_CASE("Code as filler", "[tasks]") {
  const Sample sample =
      make_task("passkey", CodeFolder::haystack())->make({Split::train, 0, 0, 800}, approximate_counter("words"));
  CHECK(sample.context.find("\n  return value * ") != std::string::npos);  // indentation and lines are kept
  CHECK(sample.context.find("\n#define MADE_UP_") != std::string::npos);
  CHECK(between(sample.context, "The pass key is ", ".").size() == 1);
}

TEST_CASE("Code tasks on the headers of this machine", "[tasks]") {
  std::shared_ptr<const CodeCorpus> headers;
  const std::string message = message_of([&] { headers = system_headers(); });
  if (!headers) {
    CHECK(message.starts_with("code: /usr/include must "));
    return;
  }
  for (const char* task : {"code-completion", "code-retrieval"})
    for (const std::size_t length : {500, 4000}) {
      const Sample sample = make_task(task)->make({Split::test, 0, 0, length}, approximate_counter("words"));
      CHECK_FALSE(sample.answers[0].empty());
      CHECK(approximate_counter("words")(sample.context) + std::max<std::size_t>(16, length / 50) >= length);
    }
}
