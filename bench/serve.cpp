#include "serve.hpp"

#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "interleaved.hpp"
#include "workload.hpp"

namespace bench {

void serve() {
  std::string current;
  std::function<void()> call;
  int calls = 1;
  for (std::string name; std::getline(std::cin, name);) {
    if (name != current) {
      call = nullptr;  // frees the tensors of the case before
      call = with_workload(parse_case(name), [](auto&& work) -> std::function<void()> {
        const auto kept = std::make_shared<std::decay_t<decltype(work)>>(work);
        return [kept] { kept->run(); };
      });
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
