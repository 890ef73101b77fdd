#include "core/features/normalisation.hpp"

#include <stdexcept>
#include <string>

namespace namm {

void NormalisationAccumulator::add(std::span<const float> rows) {
  if (width() == 0 || rows.size() % width() != 0) {
    throw std::invalid_argument("normalisation: values must come in rows of " + std::to_string(width()) + ", got " +
                                std::to_string(rows.size()));
  }
  for (std::size_t row = 0; row < rows.size(); row += width()) {
    ++count_;
    const double share = 1.0 / static_cast<double>(count_);
    for (std::size_t k = 0; k < width(); ++k) {
      const double value = rows[row + k];
      const double distance = value - mean_[k];
      mean_[k] += distance * share;
      squares_[k] += distance * (value - mean_[k]);
    }
  }
}

void NormalisationAccumulator::merge(const NormalisationAccumulator& other) {
  if (other.width() != width()) {
    throw std::invalid_argument("normalisation: must have width " + std::to_string(width()) + " to be merged, has " +
                                std::to_string(other.width()));
  }
  if (other.count_ == 0) return;
  const double total = static_cast<double>(count_ + other.count_);
  const double share = static_cast<double>(other.count_) / total;
  for (std::size_t k = 0; k < width(); ++k) {
    const double distance = other.mean_[k] - mean_[k];
    mean_[k] += distance * share;
    squares_[k] += other.squares_[k] + distance * distance * share * static_cast<double>(count_);
  }
  count_ += other.count_;
}

Normalisation NormalisationAccumulator::result() const {
  Normalisation out{std::vector<float>(width(), 0.0f), std::vector<float>(width(), 1.0f)};
  if (count_ == 0) return out;
  for (std::size_t k = 0; k < width(); ++k) {
    out.mean[k] = static_cast<float>(mean_[k]);
    out.variance[k] = static_cast<float>(squares_[k] / static_cast<double>(count_));
  }
  return out;
}

}  // namespace namm
