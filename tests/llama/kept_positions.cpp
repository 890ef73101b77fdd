// kept_positions MODEL POLICY BUDGET MODE TEXT-FILE: reads the text through llama.cpp with the policy attached and prints, as
// JSON, its tokens, the positions that every (layer, KV head) holds, and the logits of the last token. tests/python compares them
// with what the Python package keeps of the same model in Transformers.
#include <namm/llama.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: kept_positions MODEL POLICY BUDGET MODE TEXT-FILE\n";
    return 2;
  }
  try {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
        llama_model_load_from_file(argv[1], llama_model_default_params()), llama_model_free);
    std::ifstream file(argv[5]);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    if (!model || text.empty()) throw std::runtime_error("model and text: must be readable, are not");
    const llama_vocab* const vocab = llama_model_get_vocab(model.get());
    std::vector<llama_token> tokens(text.size() + 8);
    tokens.resize(static_cast<std::size_t>(llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                                                          static_cast<int>(tokens.size()), false, false)));
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<std::uint32_t>(tokens.size() + 1);
    params.n_batch = params.n_ubatch = 512;
    params.n_threads = params.n_threads_batch = 1;
    auto attached = namm::llama::attach(model.get(), params, namm::load_policy(argv[2]).with_budget(argv[3]).with_mode(argv[4]));
    for (std::size_t i = 0; i < tokens.size(); i += 512)
      attached.decode(llama_batch_get_one(tokens.data() + i, static_cast<int>(std::min<std::size_t>(512, tokens.size() - i))));
    nlohmann::json out;
    out["tokens"] = tokens;
    for (const namm::HeadContent& head : attached.content()) out["kept"].push_back({head.layer, head.kv_head, head.positions});
    const float* const logits = llama_get_logits_ith(attached.context(), -1);
    out["logits"] = std::vector<float>(logits, logits + llama_vocab_n_tokens(vocab));
    std::cout << out << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "kept_positions: " << error.what() << '\n';
    return 1;
  }
}
