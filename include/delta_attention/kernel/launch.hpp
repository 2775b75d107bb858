#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/kernel/kokkos_version.hpp>
#include <delta_attention/kernel/main_loop.hpp>
#include <delta_attention/kernel/pipelined_loop.hpp>

#include <string>
#include <type_traits>

namespace delta_attention::kernel {

/// Whether an atom is one for the second main loop (kernel/pipelined_loop.hpp).
template <class Atom>
concept pipelined = requires { typename Atom::consumer; };

struct no_launch_data {};

/// The work items of a team.
template <class Atom, class Element, class Mask, class Epilogue, class Data>
struct attention_functor {
  problem<Element> p;
  Mask mask;
  schedule plan;
  Epilogue epilogue;
  Data data;

  template <class Member> KOKKOS_FUNCTION void operator()(const Member& team) const {
    if constexpr (pipelined<Atom>) {
      attend_pipelined<Atom>(team, data, p, mask, plan, epilogue);
    } else {
      Atom atom(team, p);
      for (std::int64_t i = team.league_rank(); i < plan.items(); i += team.league_size())
        attend(atom, p, mask, plan.item(i), epilogue);
    }
  }
};

/// `data` is what a family found out for the whole launch.
template <class Atom, class Exec, class Element, class Mask, class Epilogue,
          class Data = no_launch_data>
void launch(const std::string& label, const Exec& exec, const problem<Element>& p, const Mask& m,
            const schedule& plan, const Epilogue& epilogue, const Data& data = {}) {
  if (plan.items() == 0) return;
  using functor = attention_functor<Atom, Element, Mask, Epilogue, Data>;
  static_assert(!pipelined<Atom> || stays_in_constant_memory<functor>,
                "the copy engine reads its maps where the functor lies");
  using policy =
      Kokkos::TeamPolicy<Exec, Kokkos::Schedule<Kokkos::Dynamic>, typename Atom::launch_bounds>;
  int league = league_size(plan.items());
  if constexpr (pipelined<Atom>) league = Atom::league_size(exec, plan.items());
  policy teams(exec, league, Atom::team_size, 1);
  const std::size_t scratch = Atom::scratch_bytes(p.head_size(), p.value_size());
  if (scratch > 0)  // and room to align it
    teams.set_scratch_size(Atom::scratch_level,
                           Kokkos::PerTeam(static_cast<int>(scratch + Atom::scratch_alignment)));
  teams.set_chunk_size(1);
  const whole_team_scratch<functor, policy> while_launching(exec);
  Kokkos::parallel_for(label, teams, functor{p, m, plan, epilogue, data});
}

}  // namespace delta_attention::kernel
