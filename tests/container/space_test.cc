// Space: readers that hold it back, a journal that stays bounded, and a file that shrinks.
#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "container/container_place.h"
#include "container/file_system.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using container::Container;
using Kind = Op::Kind;

namespace {

// What readers and the writer of a host file share, without one. Thread-safe.
class SharedPins final : public container::Pins {
 public:
  Result<bool> held(std::uint32_t slot) override {
    MutexLock lock(mutex_);
    return holders_.contains(slot);
  }
  Result<void> publish(std::uint32_t slot) override {
    MutexLock lock(mutex_);
    published_ = slot;
    return {};
  }
  std::uint32_t take() {
    MutexLock lock(mutex_);
    holders_.insert(published_);
    return published_;
  }
  void take(std::uint32_t slot) {
    MutexLock lock(mutex_);
    holders_.insert(slot);
  }
  void let_go(std::uint32_t slot) {
    MutexLock lock(mutex_);
    holders_.erase(holders_.find(slot));
  }

 private:
  Mutex mutex_;
  std::uint32_t published_ ONCE_GUARDED_BY(mutex_) = 0;
  std::multiset<std::uint32_t> holders_ ONCE_GUARDED_BY(mutex_);
};

ContainerPlace open_shared(const std::shared_ptr<SimulatedDevice>& device,
                           const std::shared_ptr<SharedPins>& pins, bool read_only) {
  container::ContainerOptions options = test_options();
  options.read_only = read_only;
  ContainerPlace place{.device = device};
  place.container = value_of(Container::open(device, pins, options));
  if (place.container->fresh()) value_of(place.container->mark_created());
  place.files = container::make_file_system(place.container);
  return place;
}

struct Reader {
  std::uint32_t pin = 0;
  ContainerPlace place{};
  Tree tree{};
};

void run(Runner& runner, FileModel& model, std::initializer_list<Op> ops) {
  for (const Op& op : ops) {
    CAPTURE(op.describe());
    const Answer is = runner.run(op);
    CAPTURE(is.describe());
    REQUIRE(is == model.run(op));
  }
}

}  // namespace

TEST_CASE("what a reader found when it opened stays as it was until it lets go") {
  auto device = std::make_shared<SimulatedDevice>();
  auto pins = std::make_shared<SharedPins>();
  ContainerPlace writer = open_shared(device, pins, false);
  Runner runner(writer.files);
  FileModel model;
  std::mt19937_64 random(5);
  std::deque<Reader> readers;
  run(runner, model, {{.kind = Kind::make_directory, .path = "/db"}});
  std::uint64_t held_back = 0;
  for (int round = 0; round < 300; ++round) {
    const std::string path = "/db/" + std::to_string(round % 7) + (round % 2 ? ".sst" : ".log");
    run(runner, model,
        {{.kind = Kind::create, .path = path},
         {.kind = Kind::append, .length = 1000 + random() % 20'000},
         {.kind = Kind::sync},
         {.kind = Kind::close},
         {.kind = Kind::sync_directory, .path = "/db"}});
    if (random() % 8 == 0) value_of(writer.container->compact({}));
    if (random() % 4 == 0) {
      Reader reader{.pin = pins->take()};
      reader.place = open_shared(device, pins, true);
      REQUIRE(read_tree(*reader.place.files, "", &reader.tree).ok());
      REQUIRE(model.difference_to(reader.tree) == "");
      CHECK(value_of(reader.place.container->unchanged()));
      readers.push_back(std::move(reader));
    }
    held_back = std::max(held_back, writer.container->space().held_back);
    // They come and go; the oldest often stays on.
    if (readers.size() > 4 || (!readers.empty() && random() % 8 == 0)) {
      const std::size_t which = random() % readers.size();
      Reader& reader = readers[which];
      Tree again;
      REQUIRE(read_tree(*reader.place.files, "", &again).ok());
      CHECK(again == reader.tree);
      CHECK(testing::problem_with(writer) == "");
      pins->let_go(reader.pin);
      readers.erase(readers.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  CHECK(held_back > 0);
  for (const Reader& reader : readers) pins->let_go(reader.pin);
  readers.clear();
  // Nothing is lost for good, however they went.
  value_of(writer.container->compact({}));
  value_of(writer.container->give_back());
  CHECK(writer.container->space().held_back == 0);
  CHECK(testing::problem_with(writer) == "");
}

TEST_CASE("a reader that stays holds back what is freed meanwhile, and nothing afterwards") {
  auto device = std::make_shared<SimulatedDevice>();
  auto pins = std::make_shared<SharedPins>();
  ContainerPlace writer = open_shared(device, pins, false);
  Runner runner(writer.files);
  FileModel model;
  run(runner, model,
      {{.kind = Kind::create, .path = "/a.sst"},
       {.kind = Kind::append, .length = 100'000},
       {.kind = Kind::sync}});
  const std::uint32_t stays = pins->take();
  ContainerPlace reader = open_shared(device, pins, true);
  for (int i = 0; i < 50; ++i) {
    run(runner, model,
        {{.kind = Kind::create, .path = "/b.sst"},
         {.kind = Kind::append, .length = 100'000},
         {.kind = Kind::sync},
         {.kind = Kind::remove, .path = "/b.sst"},
         {.kind = Kind::sync_directory, .path = "/"}});
  }
  run(runner, model, {{.kind = Kind::remove, .path = "/a.sst"}, {.kind = Kind::drop}});
  CHECK(writer.container->space().held_back > 0);
  std::string found;
  REQUIRE(read_whole(*reader.files, "/a.sst", &found).ok());
  CHECK(found == bytes_of(1, 100'000));
  CHECK_FALSE(value_of(reader.container->unchanged()));
  pins->let_go(stays);
  run(runner, model, {{.kind = Kind::sync_directory, .path = "/"}});
  value_of(writer.container->give_back());
  CHECK(writer.container->space().held_back == 0);
  CHECK(writer.container->space().bytes < 500'000);
}

TEST_CASE("a reader that could not read which place is published holds everything back") {
  auto device = std::make_shared<SimulatedDevice>();
  auto pins = std::make_shared<SharedPins>();
  ContainerPlace writer = open_shared(device, pins, false);
  Runner runner(writer.files);
  FileModel model;
  run(runner, model,
      {{.kind = Kind::create, .path = "/a.sst"},
       {.kind = Kind::append, .length = 100'000},
       {.kind = Kind::sync}});
  // Others come and go, so that the writer has moved on several times.
  for (int i = 0; i < 3; ++i) {
    const std::uint32_t pin = pins->take();
    run(runner, model,
        {{.kind = Kind::create, .path = "/b.sst"},
         {.kind = Kind::append, .length = 100'000},
         {.kind = Kind::sync},
         {.kind = Kind::remove, .path = "/b.sst"},
         {.kind = Kind::sync_directory, .path = "/"}});
    pins->let_go(pin);
  }
  pins->take(container::pin_of_lost);
  ContainerPlace reader = open_shared(device, pins, true);
  run(runner, model,
      {{.kind = Kind::remove, .path = "/a.sst"},
       {.kind = Kind::drop},
       {.kind = Kind::sync_directory, .path = "/"}});
  value_of(writer.container->compact({}));
  for (int i = 0; i < 20; ++i) {
    run(runner, model,
        {{.kind = Kind::create, .path = "/c" + std::to_string(i) + ".sst"},
         {.kind = Kind::append, .length = 100'000},
         {.kind = Kind::sync}});
  }
  std::string found;
  REQUIRE(read_whole(*reader.files, "/a.sst", &found).ok());
  CHECK(found == bytes_of(1, 100'000));
  CHECK(writer.container->space().held_back > 0);
  pins->let_go(container::pin_of_lost);
  value_of(writer.container->compact({}));
  CHECK(writer.container->space().held_back == 0);
}

TEST_CASE("openings beside a reader that stays do not make the file grow by a reserve each") {
  const auto device = std::make_shared<SimulatedDevice>();
  const auto pins = std::make_shared<SharedPins>();
  const auto write = [](const ContainerPlace& place, const std::string& path, std::size_t bytes) {
    const auto file = value_of(place.container->create(path));
    value_of(place.container->append(*file, std::string(bytes, 'x')));
    value_of(place.container->sync(*file));
  };
  {
    const ContainerPlace place = open_shared(device, pins, false);
    write(place, "/large", std::size_t{32} << 20);  // so that the reserve is large, too
    value_of(place.container->close());
  }
  const std::uint32_t reader = pins->take();
  const std::uint64_t before = value_of(device->size());
  constexpr int openings = 20;
  for (int i = 0; i < openings; ++i) {
    const ContainerPlace place = open_shared(device, pins, false);
    value_of(place.container->admit(1000, false, {}));
    write(place, "/small", 1000);
    value_of(place.container->close());
  }
  CHECK(value_of(device->size()) - before <= openings * (std::size_t{128} << 10));
  pins->let_go(reader);
}

TEST_CASE("on a full disk what is free in the file counts, also after it was opened again") {
  const auto device = std::make_shared<SimulatedDevice>();
  const auto pins = std::make_shared<SharedPins>();
  {
    const ContainerPlace place = open_shared(device, pins, false);
    const auto file = value_of(place.container->create("/large"));
    value_of(place.container->append(*file, std::string(std::size_t{8} << 20, 'x')));
    value_of(place.container->sync(*file));
    value_of(place.container->remove("/large"));
    value_of(place.container->sync_names());
  }  // killed
  const ContainerPlace place = open_shared(device, pins, false);
  device->set_capacity(0);  // not a block more than there are
  CHECK(value_of(device->space_left()) == 0);
  value_of(place.container->admit(1000, false, {}));
}

TEST_CASE("journal and file stay bounded, whatever comes and goes") {
  ContainerPlace place = value_of(open_place(std::make_shared<SimulatedDevice>()));
  Runner runner(place.files);
  FileModel model;
  std::mt19937_64 random(11);
  run(runner, model, {{.kind = Kind::make_directory, .path = "/db"}});
  const std::uint64_t journal = place.container->space().journal_bytes;
  std::uint64_t longest = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string path = "/db/" + std::to_string(random() % 20) + ".sst";
    const std::string log = "/db/" + std::to_string(i) + ".log";
    const std::string old = "/db/" + std::to_string(i - 3) + ".log";
    run(runner, model,
        {{.kind = Kind::create, .path = path},
         {.kind = Kind::append, .length = random() % 30'000},
         {.kind = Kind::sync},
         {.kind = Kind::close},
         {.kind = Kind::create, .path = log, .slot = 1},
         {.kind = Kind::append, .length = 500, .slot = 1},
         {.kind = Kind::sync, .slot = 1}});
    if (i >= 3) run(runner, model, {{.kind = Kind::remove, .path = old}});
    longest = std::max(longest, place.container->space().bytes);
  }
  CHECK(testing::problem_with(place) == "");
  // Some 25 files: a snapshot of them, twice as much for what happens next, in two slots.
  CHECK(place.container->space().journal_bytes <= 16 * journal);
  std::uint64_t live = 0;
  for (const auto& [path, bytes] : model.tree()) live += bytes ? bytes->size() : 0;
  CAPTURE(live);
  CHECK(longest < 2 * live + 2'000'000);  // besides logs that are being written, and the reserve
  run(runner, model, {{.kind = Kind::drop, .slot = 1}});
  for (const std::string& path : model.files()) {
    if (path.ends_with(".log")) run(runner, model, {{.kind = Kind::remove, .path = path}});
  }
  value_of(place.container->compact({}));
  live = 0;
  for (const auto& [path, bytes] : model.tree()) live += bytes ? bytes->size() : 0;
  const auto space = place.container->space();
  CAPTURE(space.journal_bytes);
  CAPTURE(space.used);
  CAPTURE(space.free);
  CAPTURE(space.held_back);
  CHECK(space.bytes <= live * 13 / 10 + space.journal_bytes + 20 * 4096 + (256 << 10));
  Tree found;
  REQUIRE(read_tree(*place.files, "", &found).ok());
  CHECK(model.difference_to(found) == "");
}

TEST_CASE(
    "a log takes much ahead where there is plenty, and little on a disk that is nearly full") {
  for (const bool plenty : {true, false}) {
    CAPTURE(plenty);
    const auto device = std::make_shared<SimulatedDevice>();
    ContainerPlace place = value_of(open_place(device));
    const auto log = value_of(place.container->create("/1.log"));
    const std::string bytes(30'000, 'x');
    std::uint64_t before = place.container->space().used;
    // Until it has taken 512 KiB at least.
    while (place.container->space().used < before + (512 << 10)) {
      value_of(place.container->append(*log, bytes));
    }
    if (!plenty) device->set_capacity(device->image().space() + (512 << 10));
    before = place.container->space().used;
    while (place.container->space().used == before) {
      value_of(place.container->append(*log, bytes));
    }
    const std::uint64_t taken = place.container->space().used - before;
    CHECK(plenty == (taken >= 512 << 10));
    CHECK(!plenty == (taken <= 64 << 10));
  }
}

// What the table of files would refuse must never get into the journal, which the next opening
// believes.
TEST_CASE("a file in as many pieces as there can be grows on, and is found again") {
  container::ContainerOptions options = test_options();
  options.slot_bytes = std::uint64_t{4} << 20;  // or making the holes would take a while
  ContainerPlace place = value_of(open_place(std::make_shared<SimulatedDevice>(), options));
  constexpr std::size_t holes = container::most_file_extents + 500;
  const auto path_of = [](std::size_t i) { return "/" + std::to_string(i) + ".sst"; };
  for (std::size_t i = 0; i < 2 * holes; ++i) {
    const auto file = value_of(place.container->create(path_of(i)));
    value_of(place.container->append(*file, "x"));
  }
  for (std::size_t i = 0; i < 2 * holes; i += 2) value_of(place.container->remove(path_of(i)));
  value_of(place.container->sync_names());

  const auto pieces_of = [&](const std::shared_ptr<container::File>& file) {
    MutexLock lock(file->mutex);
    return file->extents->size();
  };
  // What has to be taken from these holes, since there is nothing else.
  place.device->set_capacity(place.device->image().space());
  const std::string piece = bytes_of(3, 100'000);
  std::uint64_t appended = 0;
  auto log = value_of(place.container->create("/scattered.log"));
  Result<void> done;
  while (done) {
    REQUIRE(appended < 1000);
    done = place.container->append(*log, piece);
    appended += done ? 1 : 0;
    if (done && appended % 20 == 0) value_of(place.container->sync(*log));
  }
  CHECK(done.error().code == ErrorCode::no_space);
  CHECK_FALSE(place.container->poisoned());
  CHECK(pieces_of(log) > container::most_file_extents - 32);
  CHECK(place.container->space().free > 10 * piece.size());
  // With more space, but with no piece more than there can be.
  place.device->set_capacity(SimulatedDevice::default_capacity);
  for (int i = 0; i < 40; ++i) {
    done = place.container->append(*log, piece);
    appended += done ? 1 : 0;
    if (!done) CHECK(done.error().code == ErrorCode::no_space);
  }
  CHECK(pieces_of(log) <= container::most_file_extents);
  value_of(place.container->sync(*log));
  // Others are not hurt by that.
  const auto other = value_of(place.container->create("/other.sst"));
  value_of(place.container->append(*other, "bytes"));
  value_of(place.container->sync(*other));

  const DiskImage killed = place.device->moment().crash({CrashPlan::Kind::all});
  ContainerPlace after = value_of(open_place(killed, options));
  const auto found = value_of(after.container->open_file("/scattered.log"));
  CHECK(after.container->size(*found) == appended * piece.size());
  CHECK(testing::problem_with(after) == "");
}
