#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host/host.hpp"

namespace namm::python {

/// Python's tokeniser, as prompts and passages are made with it. Whoever derives from it has a model as well.
class Tokeniser : public Host {
 public:
  /// tokenize(text, with special tokens, is of the template) -> tokens; detokenize(tokens) -> text.
  Tokeniser(HostDescription description, ChatTemplate turn, nanobind::object tokenize, nanobind::object detokenize)
      : description_(std::move(description)),
        turn_(std::move(turn)),
        tokenize_(std::move(tokenize)),
        detokenize_(std::move(detokenize)) {}
  const HostDescription& description() const override { return description_; }
  std::vector<Token> tokenize(std::string_view text, bool add_special) const override { return tokens(text, add_special, false); }
  std::vector<Token> tokenize_template(std::string_view text) const override { return tokens(text, false, true); }
  std::string detokenize(std::span<const Token> tokens) const override {
    return nanobind::cast<std::string>(detokenize_(std::vector<Token>(tokens.begin(), tokens.end())));
  }
  ChatTemplate chat_template() const override { return turn_; }

  void reset(const CachePolicy&) override { no_model(); }
  void evaluate(std::span<const Token>) override { no_model(); }
  void update() override { no_model(); }
  std::vector<double> log_likelihood(std::span<const Token>) override { no_model(); }
  Generation generate(int, bool) override { no_model(); }
  CacheUsage usage() const override { no_model(); }

 private:
  [[noreturn]] static void no_model() { throw std::logic_error("tokeniser: has no model"); }
  std::vector<Token> tokens(std::string_view text, bool add_special, bool of_template) const {
    return nanobind::cast<std::vector<Token>>(tokenize_(nanobind::str(text.data(), text.size()), add_special, of_template));
  }

  HostDescription description_;
  ChatTemplate turn_;
  nanobind::object tokenize_, detokenize_;
};

}  // namespace namm::python
