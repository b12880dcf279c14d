#include "follow.h"

#include <poll.h>

#include <iterator>
#include <optional>

namespace once::supervise {
namespace {

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

// What a notice says about the end; nullopt: nothing yet.
std::optional<Ending> ending_of(const Notice& notice, bool lost) {
  switch (notice.kind) {
    case Notice::Kind::ready:
    case Notice::Kind::started:
      return std::nullopt;
    case Notice::Kind::not_started:
      return Ending{.kind = Ending::Kind::not_started, .value = notice.value};
    case Notice::Kind::ended:
      // Once the lease is lost, only the end of the whole tree counts.
      if (lost) return std::nullopt;
      return Ending{.kind = Ending::Kind::ended, .value = notice.value};
    case Notice::Kind::killed:
      return Ending{.kind = Ending::Kind::lease_lost};
  }
  return std::nullopt;
}

// Passes on what came, in the same turn if it can be.
void pass_output(Stream* stream, bool readable, bool writable) {
  if (readable) stream->read_some();
  if ((readable || writable) && stream->wants_to_write() >= 0) stream->write_some();
}

Ending loop(Supervisor& supervisor, const Signals& signals, Output output, int lease_lost) {
  bool lost = false;
  for (;;) {
    pollfd all[] = {{.fd = reading(output.out), .events = POLLIN, .revents = 0},
                    {.fd = reading(output.err), .events = POLLIN, .revents = 0},
                    {.fd = writing(output.out), .events = POLLOUT, .revents = 0},
                    {.fd = writing(output.err), .events = POLLOUT, .revents = 0},
                    {.fd = signals.descriptor(), .events = POLLIN, .revents = 0},
                    {.fd = supervisor.descriptor(), .events = POLLIN, .revents = 0},
                    {.fd = lost ? -1 : lease_lost, .events = POLLIN, .revents = 0}};
    retry([&] { return ::poll(all, std::size(all), -1); });
    pass_output(output.out, all[0].revents != 0, all[2].revents != 0);
    pass_output(output.err, all[1].revents != 0, all[3].revents != 0);
    if (all[4].revents != 0) pass_signals(supervisor, signals);
    if (all[6].revents != 0) {
      lost = true;
      supervisor.kill();
    }
    if (all[5].revents == 0) continue;
    const auto notice = supervisor.receive();
    if (!notice) {
      supervisor.clean_up();
      return {.kind = lost ? Ending::Kind::lease_lost : Ending::Kind::guardian_died};
    }
    if (const auto ending = ending_of(*notice, lost)) return *ending;
  }
}

}  // namespace

Ending follow(Supervisor& supervisor, const Signals& signals, Output output, int lease_lost) {
  const Ending ending = loop(supervisor, signals, output, lease_lost);
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
