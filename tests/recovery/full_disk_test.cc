// A disk that gets full under a store: what finds no room says so and leaves nothing behind;
// reading, removing, sweeping and compacting go on; and when there is space again so does writing,
// without opening the store again.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "recovery/recording.h"
#include "recovery/stopwatch.h"

using namespace once;
using namespace once::testing;
using Kind = Request::Kind;

namespace {

constexpr SessionOptions bad_disk{.memory_budget = std::size_t{512} << 10, .may_fail = true};

class FullDisk {
 public:
  explicit FullDisk(std::size_t bytes, std::uint64_t room = 3 << 19,
                    const SessionOptions& options = bad_disk)
      : session(device, {}, options), bytes_(bytes) {
    REQUIRE(session.open(Ending::power_cut) == "");
    device->set_capacity(device->image().space() + room);
  }

  // The answer; must be one that may be.
  const Reply& ask(Request request) {
    const Call call{.request = std::move(request)};
    CAPTURE(call.describe());
    REQUIRE(session.run(call) == "");
    const Reply& heard = session.heard();
    CAPTURE(heard.describe());
    if (heard.error) {
      CHECK_FALSE(*heard.error == ErrorCode::unknown);
      CHECK_FALSE(*heard.error == ErrorCode::poisoned);
      CHECK_FALSE(*heard.error == ErrorCode::io);
    }
    return heard;
  }
  bool write(Durability durability = Durability::synced) {
    const Key key("", "fill", std::to_string(made_++));
    const Reply& heard = ask({.kind = Kind::execute,
                              .key = key,
                              .durability = durability,
                              .on_abandon = OnAbandon::rerun,
                              .outcome = Outcome::success(noise(made_, bytes_))});
    if (!heard.error) return true;
    if (heard.error == ErrorCode::no_space) {
      CHECK(heard.message.find("full") != std::string::npos);
      CHECK(heard.message.find("simulated.once") != std::string::npos);
    }
    return false;
  }
  // Until nothing more goes, of any size.
  void fill() {
    int failed = 0;
    for (int i = 0; failed < 3; ++i) {
      REQUIRE(i < 5000);
      failed += write(i % 5 == 4 ? Durability::buffered : Durability::synced) ? 0 : 1;
    }
    // What many writes at once find.
    Request many{.kind = Kind::reserve_many};
    for (int i = 0; i < 50; ++i) {
      many.many.push_back({.kind = Kind::reserve,
                           .key = Key("", "many", fmt::format("{}-{}", made_, i)),
                           .lease = std::chrono::hours(1)});
    }
    for (int i = 0; i < 100 && !ask(many).error; ++i) {
      for (Request& one : many.many) one.key.id += "'";
    }
    ask({.kind = Kind::transact,
         .key = Key("", "transact", std::to_string(made_)),
         .outcome = Outcome::success("moved"),
         .steps = {{.kind = Step::Kind::put, .key = "data", .value = noise(1, bytes_)}}});
    ask({.kind = Kind::publish, .key = "event", .name = std::to_string(made_), .data = "x"});
  }
  std::vector<Key> finished() const {
    std::vector<Key> keys;
    for (const auto& [key, state] : session.state().model.live().keys) {
      if (state->outcome) keys.push_back(key);
    }
    return keys;
  }

  std::shared_ptr<SimulatedDevice> device = std::make_shared<SimulatedDevice>();
  Session session;

 private:
  const std::size_t bytes_;
  std::uint64_t made_ = 0;
};

void check_write(FullDisk& disk, Durability durability = Durability::synced) {
  if (!disk.write(durability)) FAIL_CHECK(disk.session.heard().describe());
}

// Removes every `step`th of the keys, and has their space given back.
void make_room(FullDisk& disk, const std::vector<Key>& keys, std::size_t step, bool by_sweep) {
  for (std::size_t i = 0; i < keys.size(); i += step) {
    const Reply& removed = disk.ask({.kind = Kind::remove, .key = keys[i]});
    if (!removed.yes) FAIL_CHECK(removed.describe());
  }
  if (by_sweep) {
    const Reply& swept = disk.ask({.kind = Kind::sweep});
    if (swept.error) FAIL_CHECK(swept.describe());
  } else {
    const auto compacted = disk.session.store().compact();
    if (!compacted) FAIL_CHECK(compacted.error().message);
  }
}

void check_reading(FullDisk& disk) {
  CHECK(disk.session.compare_live() == "");
  for (const Key& key : disk.finished()) {
    CHECK_FALSE(disk.ask({.kind = Kind::find, .key = key}).error.has_value());
    CHECK(disk.ask({.kind = Kind::reserve, .key = key}).replayed);
  }
  CHECK(disk.session.store().stats().has_value());
}

void check_whole(FullDisk& disk) {
  CHECK(disk.session.compare_live() == "");
  CHECK(disk.session.verify() == "");
  CHECK(disk.session.close().has_value());
  CHECK(problem_with_container(disk.device) == "");
  CHECK(disk.session.open(Ending::process_ended) == "");
}

}  // namespace

TEST_CASE("a full disk: reading, removing, sweeping and compacting go on, and make room") {
  const Stopwatch stopwatch;
  for (const std::size_t bytes : {300u, 4000u, 60'000u}) {
    CAPTURE(bytes);
    FullDisk disk(bytes);
    for (int round = 0; round < 3; ++round) {
      CAPTURE(round);
      disk.fill();
      check_reading(disk);
      const std::vector<Key> keys = disk.finished();
      REQUIRE(keys.size() >= 3);
      make_room(disk, keys, round == 2 ? 1 : 2, round % 2 == 0);
      // There is room again, on a disk that is no larger, in a store that was not opened again.
      check_write(disk);
      check_write(disk, Durability::buffered);
    }
    check_whole(disk);
  }
  MESSAGE(stopwatch.seconds() << " s");
}

// Merging all tables at once would take as much as all that stays.
TEST_CASE("others take all of the disk: what is removed makes room, whatever its size") {
  const Stopwatch stopwatch;
  struct Case {
    std::size_t bytes;
    bool reopened;
  };
  for (const auto& [bytes, reopened] :
       {Case{10'000, false}, Case{150'000, false}, Case{1'000'000, false}, Case{150'000, true},
        Case{1'000'000, true}}) {
    CAPTURE(bytes);
    CAPTURE(reopened);
    constexpr std::uint64_t capacity = 128 << 20;
    FullDisk disk(bytes, capacity, {.memory_budget = std::size_t{32} << 20, .may_fail = true});
    for (int round = 0; round < 4; ++round) {
      CAPTURE(round);
      for (std::size_t i = 0; i < 15'000'000 / bytes; ++i) check_write(disk);
      if (round % 2 == 1) CHECK(disk.session.store().compact().has_value());
      if (reopened) {
        CHECK(disk.session.close().has_value());
        CHECK(disk.session.open(Ending::process_ended) == "");
      }
      disk.device->set_capacity(disk.device->image().space());
      make_room(disk, disk.finished(), 2, round < 2);
      check_write(disk);
      check_write(disk, Durability::buffered);
      check_reading(disk);
      disk.device->set_capacity(capacity);
    }
    check_whole(disk);
  }
  MESSAGE(stopwatch.seconds() << " s");
}

TEST_CASE("a full disk with space again: writing goes on without opening the store again") {
  for (const std::size_t bytes : {2000u, 20'000u}) {
    CAPTURE(bytes);
    FullDisk disk(bytes);
    for (int round = 0; round < 4; ++round) {
      CAPTURE(round);
      disk.fill();
      disk.device->set_capacity(disk.device->image().space() + (3 << 20));
      for (int i = 0; i < 4; ++i) check_write(disk);
    }
    check_whole(disk);
  }
}

TEST_CASE("a full disk and a power cut: the store opens, to read at least, and loses nothing") {
  const Stopwatch stopwatch;
  std::uint64_t images = 0;
  std::uint64_t refused = 0;
  for (const std::size_t bytes : {300u, 4000u, 60'000u}) {
    CAPTURE(bytes);
    FullDisk disk(bytes);
    const std::uint64_t capacity = disk.device->image().space() + (3 << 19);
    disk.fill();
    for (int round = 0; round < 40; ++round) {
      CAPTURE(round);
      SessionState state = disk.session.state();
      disk.device->keep_moments();
      if (round % 4 == 3) {
        disk.ask({.kind = Kind::remove, .key = disk.finished().front()});
      } else if (round % 4 == 2) {
        disk.ask({.kind = Kind::sweep});
      } else {
        disk.write();
      }
      state.model.may_also(disk.session.expected().commits);
      const auto moments = disk.device->moments();
      // The last one is after the answer.
      for (std::size_t i = 0; i + 1 < moments.size(); i += 1 + moments.size() / 4) {
        const DiskImage image =
            moments[i].moment.crash({.kind = CrashPlan::Kind::some, .seed = images++});
        SessionOptions reading = bad_disk;
        reading.read_only = true;
        Session reader(std::make_shared<SimulatedDevice>(image), state, reading);
        auto opened = reader.try_open(Ending::power_cut);
        if (!opened) FAIL(opened.error().message);
        auto rows = read_rows(reader.store());
        REQUIRE(rows.has_value());
        CHECK(state.model.differs_from_all(*rows, state.now) == "");

        auto device = std::make_shared<SimulatedDevice>(image);
        device->set_capacity(capacity);
        Session writer(device, state, bad_disk);
        opened = writer.try_open(Ending::power_cut);
        if (opened) {
          CHECK(writer.compare(Ending::power_cut) == "");
        } else {
          ++refused;
          MESSAGE(opened.error().message);
          CHECK(opened.error().code == ErrorCode::no_space);
          device->set_capacity(2 * capacity);
          CHECK(writer.open(Ending::power_cut) == "");
        }
      }
    }
  }
  MESSAGE(images << " crash images on a full disk, " << refused
                 << " of which did not open to write, in " << stopwatch.seconds() << " s");
  // What is kept in reserve is there for that.
  CHECK(refused == 0);
}
