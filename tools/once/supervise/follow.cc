#include "follow.h"

#include <poll.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "base/saturating.h"

namespace once::supervise {
namespace {

constexpr Duration longest_poll = std::chrono::hours(1);

int reading(const Stream* stream) {
  return stream == nullptr ? -1 : stream->wants_to_read();
}
int writing(const Stream* stream) {
  return stream == nullptr ? -1 : stream->wants_to_write();
}

// A terminal sends its signals to the command as well; passing them on would make one key two.
void pass_signals(Supervisor& supervisor, const Signals& signals) {
  while (const auto arrived = signals.next()) {
    if (!arrived->from_terminal) supervisor.pass_signal(arrived->number);
  }
}

// Passes on what came, in the same turn if it can be.
void pass_output(Stream* stream, bool readable, bool writable) {
  if (readable) stream->read_some();
  if ((readable || writable) && stream->wants_to_write() >= 0) stream->write_some();
}

// The life of a command that is watched: what the front has asked of it, and what it has told.
class Following {
 public:
  Following(Supervisor& supervisor, const TimeLimit& limit)
      : supervisor_(supervisor), grace_(limit.grace), next_(in(limit.longest)) {}

  // For poll(2).
  [[nodiscard]] bool lost() const { return lost_; }
  [[nodiscard]] int time_left() const {
    if (next_ == forever) return -1;
    const Duration left = std::max(next_ - clock_->since_boot(), Duration{0});
    return static_cast<int>(std::min<Duration>(left, longest_poll).count());
  }

  void lose() {
    lost_ = true;
    kill();
  }
  void look_at_the_time() {
    if (next_ == forever || clock_->since_boot() < next_) return;
    if (std::exchange(timed_out_, true)) return kill();
    next_ = in(grace_);
    supervisor_.end();
  }
  // What a notice says about the end; nullopt: nothing yet.
  std::optional<Ending> take(const std::optional<Notice>& notice) {
    if (!notice) {
      supervisor_.clean_up();
      return Ending{.kind = lost_ ? Ending::Kind::lease_lost : Ending::Kind::guardian_died};
    }
    switch (notice->kind) {
      case Notice::Kind::ready:
      case Notice::Kind::started:
        return std::nullopt;
      case Notice::Kind::not_started:
        return Ending{.kind = Ending::Kind::not_started, .value = notice->value};
      case Notice::Kind::ended:
        // Once the lease is lost or the time is over, only the end of the whole tree counts.
        if (!lost_ && !timed_out_) {
          return Ending{.kind = Ending::Kind::ended, .value = notice->value};
        }
        kill();
        return std::nullopt;
      case Notice::Kind::killed:
        return Ending{.kind = lost_ ? Ending::Kind::lease_lost : Ending::Kind::timed_out};
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] Duration in(Duration time) const { return after(clock_->since_boot(), time); }
  void kill() {
    next_ = forever;
    if (!std::exchange(killing_, true)) supervisor_.kill();
  }

  Supervisor& supervisor_;
  const std::shared_ptr<const Clock> clock_ = system_clock();
  const Duration grace_;
  Duration next_;  // when there is something to do, since boot
  bool timed_out_ = false;
  bool lost_ = false;
  bool killing_ = false;
};

Ending loop(Supervisor& supervisor, const Signals& signals, Output output, int lease_lost,
            const TimeLimit& limit) {
  Following following(supervisor, limit);
  for (;;) {
    pollfd all[] = {{.fd = reading(output.out), .events = POLLIN, .revents = 0},
                    {.fd = reading(output.err), .events = POLLIN, .revents = 0},
                    {.fd = writing(output.out), .events = POLLOUT, .revents = 0},
                    {.fd = writing(output.err), .events = POLLOUT, .revents = 0},
                    {.fd = signals.descriptor(), .events = POLLIN, .revents = 0},
                    {.fd = supervisor.descriptor(), .events = POLLIN, .revents = 0},
                    {.fd = following.lost() ? -1 : lease_lost, .events = POLLIN, .revents = 0}};
    retry([&] { return ::poll(all, std::size(all), following.time_left()); });
    pass_output(output.out, all[0].revents != 0, all[2].revents != 0);
    pass_output(output.err, all[1].revents != 0, all[3].revents != 0);
    if (all[4].revents != 0) pass_signals(supervisor, signals);
    if (all[6].revents != 0) following.lose();
    // An end that is there already is one in time.
    if (all[5].revents == 0) {
      following.look_at_the_time();
    } else if (const auto ending = following.take(supervisor.receive())) {
      return *ending;
    }
  }
}

}  // namespace

Ending follow(Supervisor& supervisor, const Signals& signals, Output output, int lease_lost,
              const TimeLimit& limit) {
  const Ending ending = loop(supervisor, signals, output, lease_lost, limit);
  for (Stream* const stream : {output.out, output.err}) {
    if (stream == nullptr) continue;
    stream->drain();
    if (stream->wants_to_write() >= 0) stream->write_some();
  }
  return ending;
}

void flush(const Signals& signals, Output output) {
  while (writing(output.out) >= 0 || writing(output.err) >= 0) {
    pollfd events[] = {{.fd = writing(output.out), .events = POLLOUT, .revents = 0},
                       {.fd = writing(output.err), .events = POLLOUT, .revents = 0},
                       {.fd = signals.descriptor(), .events = POLLIN, .revents = 0}};
    retry([&] { return ::poll(events, std::size(events), -1); });
    if (events[0].revents != 0) output.out->write_some();
    if (events[1].revents != 0) output.err->write_some();
    if (events[2].revents != 0 && signals.next_ending()) return;
  }
}

}  // namespace once::supervise
