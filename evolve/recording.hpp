#pragma once
#include "host/protocol.hpp"
#include "trace/record.hpp"

namespace namm::evolve {

/// What of a prompt a trace records, in tokens; the prompt needs an answer (with_end_as_answer()).
trace::PromptFacts facts_of(const Prompt& prompt, bool question_after);

/// Evaluates a prompt and its answer with nothing evicted and gives what policies would have read, and the attention that the
/// context received from question and answer. Leaves the host reset. Throws std::invalid_argument if the prompt has no answer.
/// The settings must outlive the record.
trace::PromptRecord record_prompt(Host& host, const trace::Settings& settings, const Prompt& prompt);

}  // namespace namm::evolve
