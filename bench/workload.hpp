#pragma once
#include <memory>
#include <string>

#include "cases.hpp"

namespace bench {

/// The tensors of a case, and the call that is measured. The kernels are in workload.cpp, once.
class workload {
 public:
  virtual ~workload() = default;

  /// The call of the case, complete when this returns.
  virtual void run() const = 0;

  /// Dense attention on the same tensors.
  virtual void run_dense() const = 0;

  /// |out - dense| / |dense| of both calls' outputs, over all elements.
  virtual double error() const = 0;

  /// The library's own words on the path that a dense call takes.
  virtual std::string describe() const = 0;
};

std::unique_ptr<const workload> make_workload(const case_spec& c);

}  // namespace bench
