#pragma once
#include "tests/fuzz/target.hpp"

namespace namm::fuzz {

Target gguf_target();         ///< headers of models
Target policy_target();       ///< policy.json
Target tensors_target();      ///< policies in binary form
Target checkpoint_target();   ///< checkpoint.json of evolution
Target trace_target();        ///< traces
Target calibration_target();  ///< calibration.state
Target prompts_target();      ///< --data: JSON lines and plain text
Target results_target();      ///< results of evaluations, up to tables and page
Target details_target();      ///< the same of --details
Target slot_target();         ///< the store's part of saved slots
Target sequence_target();     ///< sequences of the C interface
Target session_target();      ///< saved sessions
Target config_target();       ///< run.json, --config

}  // namespace namm::fuzz
