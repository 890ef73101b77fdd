#pragma once
#include <filesystem>

#include <nlohmann/json.hpp>

namespace namm::cli {

/// What `path` is, found from its content: a model, a policy file, a run folder or checkpoint, a trace, results, details of an
/// evaluation, prompts or a text; where there is no such file, a policy by its name. "kind" says which; the other fields depend
/// on it. Throws std::runtime_error in one line if it is damaged or nothing we know.
nlohmann::ordered_json file_facts(const std::filesystem::path& path);

}  // namespace namm::cli
