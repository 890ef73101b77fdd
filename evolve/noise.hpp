#pragma once
#include <span>
#include <vector>

namespace namm::evolve {

/// What the candidates of a generation got on the prompts of one task.
struct TaskValues {
  double weight = 1;                         ///< of the task's values in the fitness
  std::vector<std::vector<double>> prompts;  ///< [prompt][candidate], the candidates in the same order everywhere
};

/// By how much a candidate's fitness, relative to the others', would change if the generation were measured again on new prompts:
/// a standard error, without measuring again. A value is taken as prompt + candidate + rest; after taking out the means of
/// prompts and candidates, s² = Σ rest² / ((K − 1)(J − 1)) for K candidates and J prompts of a task, and with T tasks of weight w
///
///     noise² = 1/T² Σ_t w_t² s_t² / J_t
///
/// (two-way analysis of variance without repetition). Where a task has only one prompt, the prompts of all tasks count as one
/// group: J = all prompts, and what the tasks differ in counts as noise. NaN if there are fewer than two prompts or candidates,
/// or numbers that are not finite.
double reevaluation_noise(std::span<const TaskValues> tasks);

/// Standard deviation of what candidates truly differ in, divided by that noise: √max(0, K/(K−1) spread² − noise²) / noise, where
/// `spread` is the standard deviation of their fitness (divided by K). 0 if they differ no more than chance; NaN if unknown.
double signal_to_noise(double spread, std::size_t candidates, double noise);

}  // namespace namm::evolve
