#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/kernel/main_loop.hpp>

#include <string>

namespace delta_attention::kernel {

/// One work item a team.
template <class Atom, class Element, class Mask, class Epilogue> struct attention_functor {
  problem<Element> p;
  Mask mask;
  schedule plan;
  Epilogue epilogue;

  template <class Member> KOKKOS_FUNCTION void operator()(const Member& team) const {
    Atom atom(team, p.head_size(), p.value_size());
    for (std::int64_t i = team.league_rank(); i < plan.items(); i += team.league_size())
      attend(atom, p, mask, plan.item(i), epilogue);
  }
};

template <class Atom, class Exec, class Element, class Mask, class Epilogue>
void launch(const std::string& label, const Exec& exec, const problem<Element>& p, const Mask& m,
            const schedule& plan, const Epilogue& epilogue) {
  if (plan.items() == 0) return;
  using policy = Kokkos::TeamPolicy<Exec, Kokkos::Schedule<Kokkos::Dynamic>>;
  policy teams(exec, league_size(plan.items()), Atom::team_size, 1);
  const std::size_t scratch = Atom::scratch_bytes(p.head_size(), p.value_size());
  if (scratch > 0) teams.set_scratch_size(1, Kokkos::PerTeam(static_cast<int>(scratch + 64)));
  teams.set_chunk_size(1);
  Kokkos::parallel_for(label, teams,
                       attention_functor<Atom, Element, Mask, Epilogue>{p, m, plan, epilogue});
}

}  // namespace delta_attention::kernel
