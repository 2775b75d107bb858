#include "serve.hpp"

#include <cmath>
#include <iostream>
#include <memory>
#include <string>

#include "interleaved.hpp"
#include "workload.hpp"

namespace bench {

void serve() {
  std::string current;
  std::unique_ptr<const workload> work;
  const auto call = [&work] { work->run(); };
  int calls = 1;
  for (std::string name; std::getline(std::cin, name);) {
    if (name != current) {
      work = nullptr;  // frees the tensors of the case before
      work = make_workload(parse_case(name));
      call();
      const double start = wall_seconds();
      call();
      calls = static_cast<int>(std::ceil(0.1 / (wall_seconds() - start)));
      current = name;
    }
    interleaved measured({});
    measured.sample(calls, call);
    std::cout << measured.wall() << ' ' << measured.cpu() << std::endl;
  }
}

}  // namespace bench
