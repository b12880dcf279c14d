// The simulated device against device.h's promises, and against what a disk may do where it gives
// none: if this one were kinder than a disk, nothing that is proved on it would hold.
#include "support/simulated_device.h"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using container::Device;
using Effect = Fault::Effect;
using Plan = CrashPlan;

namespace {

std::string read(Device& device, std::uint64_t offset, std::size_t length) {
  std::string bytes(length, '?');
  value_of(device.read(offset, length, bytes.data()));
  return bytes;
}

// A device of `sectors` sectors of dots, all durable.
struct Dots {
  explicit Dots(std::size_t sectors = 16) {
    value_of(device.resize(sectors * sector_bytes));
    value_of(device.write(0, std::string(sectors * sector_bytes, '.')));
    value_of(device.sync());
  }
  void write(std::size_t sector, char with, std::size_t sectors = 1) {
    value_of(device.write(sector * sector_bytes, std::string(sectors * sector_bytes, with)));
  }
  // One letter a sector.
  [[nodiscard]] std::string after(const Plan& plan) const {
    return letters(device.moment().crash(plan));
  }
  [[nodiscard]] static std::string letters(const DiskImage& image) {
    std::string letters;
    for (std::uint64_t at = 0; at < image.size(); at += sector_bytes) {
      const char letter = image.bytes(at, 1)[0];
      letters += letter == '\0' ? '0' : letter;
    }
    return letters;
  }
  SimulatedDevice device;
};

}  // namespace

TEST_CASE("what is written is read back, and a fresh device is empty") {
  SimulatedDevice device;
  CHECK(value_of(device.size()) == 0);
  value_of(device.resize(10'000));
  CHECK(value_of(device.size()) == 10'000);
  CHECK(read(device, 0, 10'000) == std::string(10'000, '\0'));
  value_of(device.write(4090, "across two pages"));
  CHECK(read(device, 4088, 20) == std::string("\0\0across two pages\0\0", 20));
  CHECK(device.name() == "simulated.once");
}

TEST_CASE("a read past the end is damage, and a write past it is misuse") {
  Dots dots(1);
  char byte = 0;
  CHECK(error_of(dots.device.read(512, 1, &byte)) == ErrorCode::damaged);
  CHECK(error_of(dots.device.read(~std::uint64_t{0}, 1, &byte)) == ErrorCode::damaged);
  std::vector<std::string> told;
  dots.device.on_misuse([&](const std::string& what) { told.push_back(what); });
  CHECK_FALSE(dots.device.write(511, "xy"));
  CHECK_FALSE(dots.device.write(~std::uint64_t{0}, "x"));
  CHECK_FALSE(dots.device.allocate(512, 1));
  CHECK(told.size() == 3);
  CHECK(dots.after({Plan::Kind::all}) == ".");
}

TEST_CASE("what was synced survives every crash") {
  Dots dots;
  dots.write(3, 'a');
  value_of(dots.device.sync());
  for (const auto kind : {Plan::Kind::none, Plan::Kind::all, Plan::Kind::all_but, Plan::Kind::only,
                          Plan::Kind::first, Plan::Kind::last_torn, Plan::Kind::some}) {
    CHECK(dots.after({.kind = kind}) == "...a............");
  }
}

TEST_CASE("of what was not synced, a crash keeps what the plan says") {
  Dots dots;
  dots.write(1, 'a');
  dots.write(2, 'b', 2);
  dots.write(9, 'c');
  CHECK(dots.after({Plan::Kind::none}) == "................");
  CHECK(dots.after({Plan::Kind::all}) == ".abb.....c......");
  CHECK(dots.after({Plan::Kind::all_but, 0}) == "..bb.....c......");
  CHECK(dots.after({Plan::Kind::all_but, 1}) == ".a.......c......");
  CHECK(dots.after({Plan::Kind::only, 1}) == "..bb............");
  CHECK(dots.after({Plan::Kind::first, 2}) == ".abb............");
  // The moment is a value: what happens later does not change it.
  const Moment before = dots.device.moment();
  dots.write(1, 'z');
  value_of(dots.device.sync());
  CHECK(Dots::letters(before.crash({Plan::Kind::all})) == ".abb.....c......");
  CHECK(Dots::letters(before.crash({Plan::Kind::none})) == "................");
}

TEST_CASE("a sector is written whole: a later write brings what was there before it along") {
  Dots dots(2);
  value_of(dots.device.write(0, "first"));
  value_of(dots.device.write(100, "second"));
  const Moment moment = dots.device.moment();
  const DiskImage without_first = moment.crash({Plan::Kind::all_but, 0});
  CHECK(without_first.bytes(0, 5) == "first");
  CHECK(without_first.bytes(100, 6) == "second");
  const DiskImage without_second = moment.crash({Plan::Kind::all_but, 1});
  CHECK(without_second.bytes(0, 5) == "first");
  CHECK(without_second.bytes(100, 6) == "......");
}

TEST_CASE("the last write can be torn at any byte, and nothing else is") {
  Dots dots;
  dots.write(0, 'a');
  value_of(dots.device.write(700, std::string(1000, 'b')));
  const Moment moment = dots.device.moment();
  CHECK(moment.last_write_bytes() == 1000);
  for (const std::uint64_t torn : {0u, 1u, 323u, 324u, 325u, 999u, 1000u}) {
    const std::string bytes = moment.crash({Plan::Kind::last_torn, torn}).bytes();
    CHECK(bytes.substr(0, 512) == std::string(512, 'a'));
    CHECK(bytes.substr(512, 188) == std::string(188, '.'));
    CHECK(bytes.substr(700, torn) == std::string(torn, 'b'));
    CHECK(bytes.substr(700 + torn) == std::string(16 * 512 - 700 - torn, '.'));
  }
}

TEST_CASE("some sectors: by the seed, whole sectors, in the end every subset") {
  Dots dots(8);
  dots.write(0, 'a', 2);
  dots.write(4, 'b');
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Plan plan{.kind = Plan::Kind::some, .seed = seed};
    const DiskImage image = dots.device.moment().crash(plan);
    CHECK(Dots::letters(image) == dots.after(plan));
    for (std::size_t at = 0; at < 8; ++at) {
      const std::string sector = image.bytes(at * 512, 512);
      CHECK(sector == std::string(512, sector[0]));
    }
    seen.insert(dots.after(plan));
  }
  CHECK(seen.size() == 8);
  CHECK(seen.contains("........"));
  CHECK(seen.contains("aa..b..."));
  CHECK(seen.contains(".a......"));
}

TEST_CASE("a size may reach the disk without its data, which then is zeros; or not reach it") {
  Dots dots(2);
  value_of(dots.device.resize(4 * sector_bytes));
  CHECK(read(dots.device, 1024, 1024) == std::string(1024, '\0'));
  dots.write(2, 'a', 2);
  CHECK(dots.after({Plan::Kind::none}) == "..");
  CHECK(dots.after({Plan::Kind::all}) == "..aa");
  CHECK(dots.after({Plan::Kind::only, 0}) == "..00");
  CHECK(dots.after({Plan::Kind::only, 1}) == "..");
  value_of(dots.device.sync());
  value_of(dots.device.resize(3 * sector_bytes));
  value_of(dots.device.resize(4 * sector_bytes));
  CHECK(read(dots.device, 1536, 512) == std::string(512, '\0'));
  CHECK(dots.after({Plan::Kind::none}) == "..aa");
  CHECK(dots.after({Plan::Kind::first, 1}) == "..a");
  CHECK(dots.after({Plan::Kind::all}) == "..a0");
}

TEST_CASE("a punched range reads as zeros, and a crash may undo it") {
  Dots dots(32);
  value_of(dots.device.punch(1 * sector_bytes, 17 * sector_bytes));
  const std::string punched = "." + std::string(17, '0') + std::string(14, '.');
  CHECK(Dots::letters(dots.device.image()) == punched);
  CHECK(dots.after({Plan::Kind::none}) == std::string(32, '.'));
  CHECK(dots.after({Plan::Kind::all}) == punched);
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == punched);
  value_of(dots.device.punch(0, 10 * 32 * sector_bytes));
  CHECK(Dots::letters(dots.device.image()) == std::string(32, '0'));
  CHECK(value_of(dots.device.size()) == 32 * sector_bytes);
  // Within one page there is no space to give back, but it reads as zeros all the same.
  Dots small(8);
  value_of(small.device.punch(3 * sector_bytes + 1, 10));
  CHECK(small.device.image().bytes(3 * 512, 12) == "." + std::string(10, '\0') + ".");
}

TEST_CASE("a full disk is found when growing and allocating, and then nothing was changed") {
  SimulatedDevice device;
  device.set_capacity(4 * page_bytes);
  value_of(device.resize(3 * page_bytes));
  CHECK(value_of(device.space_left()) == page_bytes);
  CHECK(error_of(device.resize(5 * page_bytes)) == ErrorCode::no_space);
  CHECK(value_of(device.size()) == 3 * page_bytes);
  value_of(device.resize(4 * page_bytes));
  CHECK(value_of(device.space_left()) == 0);
  // What resize() gave can be written.
  value_of(device.write(0, std::string(4 * page_bytes, 'x')));

  // Punched space is gone once somebody else has taken it.
  value_of(device.punch(page_bytes, 2 * page_bytes));
  CHECK(value_of(device.space_left()) == 2 * page_bytes);
  device.set_capacity(2 * page_bytes);
  CHECK(error_of(device.allocate(page_bytes, 1)) == ErrorCode::no_space);
  CHECK(error_of(device.write(page_bytes, "x")) == ErrorCode::no_space);
  CHECK(read(device, page_bytes, 1) == std::string(1, '\0'));
  value_of(device.write(0, "x"));  // still has its space
  device.set_capacity(3 * page_bytes);
  value_of(device.allocate(page_bytes, page_bytes));
  device.set_capacity(0);
  value_of(device.write(page_bytes, std::string(page_bytes, 'y')));
  CHECK(value_of(device.space_left()) == 0);
}

TEST_CASE("space that a crash took back from the disk is space again only if it was synced") {
  SimulatedDevice device;
  value_of(device.resize(2 * page_bytes));
  value_of(device.punch(0, 2 * page_bytes));
  value_of(device.sync());
  value_of(device.allocate(0, page_bytes));
  CHECK(device.moment().crash({Plan::Kind::none}).space() == 0);
  CHECK(device.moment().crash({Plan::Kind::all}).space() == page_bytes);
  value_of(device.sync());
  CHECK(device.moment().crash({Plan::Kind::none}).space() == page_bytes);
}

TEST_CASE("the n-th call of a kind fails, once or for ever") {
  Dots dots;
  const CallCounts before = dots.device.calls();
  dots.device.inject({.kind = CallKind::write, .nth = 2});
  dots.write(0, 'a');
  CHECK(error_of(dots.device.write(512, "x")) == ErrorCode::io);
  dots.write(2, 'c');
  CHECK(dots.device.struck().of(CallKind::write) == 1);
  CHECK(dots.after({Plan::Kind::all}) == "a.c.............");
  CHECK(dots.device.calls().of(CallKind::write) == before.of(CallKind::write) + 3);
  CHECK(dots.device.calls().total == before.total + 3);

  dots.device.inject({.kind = CallKind::sync, .nth = 2, .for_ever = true});
  value_of(dots.device.sync());
  CHECK(error_of(dots.device.sync()) == ErrorCode::io);
  CHECK(error_of(dots.device.sync()) == ErrorCode::io);
  dots.write(0, 'a');
  dots.device.heal();
  value_of(dots.device.sync());
  CHECK(dots.device.struck().total == 3);
}

TEST_CASE("every kind of call can be made to fail, with the errors that Device names") {
  const auto error_with = [](CallKind kind, ErrorCode code, auto&& call) {
    Dots dots;
    dots.device.inject({.kind = kind, .code = code});
    const ErrorCode error = error_of(call(dots.device));
    CHECK(value_of(dots.device.size()) == 16 * sector_bytes);
    CHECK(dots.after({Plan::Kind::all}) == std::string(16, '.'));
    return error;
  };
  char byte = 0;
  const auto reads = [&](Device& device) { return device.read(0, 1, &byte); };
  const auto writes = [](Device& device) { return device.write(0, "x"); };
  const auto syncs = [](Device& device) { return device.sync(); };
  const auto resizes = [](Device& device) { return device.resize(1 << 20); };
  const auto punches = [](Device& device) { return device.punch(0, 8192); };
  const auto allocates = [](Device& device) { return device.allocate(0, 8192); };
  const auto asks = [](Device& device) { return device.size(); };
  for (const ErrorCode code : {ErrorCode::io, ErrorCode::no_space}) {
    CHECK(error_with(CallKind::read, code, reads) == ErrorCode::io);
    CHECK(error_with(CallKind::write, code, writes) == code);
    CHECK(error_with(CallKind::sync, code, syncs) == ErrorCode::io);
    CHECK(error_with(CallKind::resize, code, resizes) == code);
    CHECK(error_with(CallKind::punch, code, punches) == ErrorCode::io);
    CHECK(error_with(CallKind::allocate, code, allocates) == code);
    CHECK(error_with(CallKind::query, code, asks) == ErrorCode::io);
  }
  // Of any kind: counted over all calls.
  Dots dots;
  dots.device.inject({.nth = 3, .for_ever = true});
  value_of(reads(dots.device));
  value_of(syncs(dots.device));
  CHECK_FALSE(writes(dots.device));
  CHECK_FALSE(asks(dots.device));
}

TEST_CASE("a short read gives an error and a buffer of which a part is right") {
  Dots dots;
  dots.device.inject({.kind = CallKind::read, .effect = Effect::partly});
  std::string buffer(100, '?');
  CHECK(error_of(dots.device.read(0, 100, buffer.data())) == ErrorCode::io);
  CHECK(buffer.substr(0, 50) == std::string(50, '.'));
  CHECK(buffer.substr(50) != std::string(50, '.'));
}

TEST_CASE("a short write gives an error, and a part of it happened") {
  Dots dots;
  dots.device.inject({.kind = CallKind::write, .effect = Effect::partly});
  CHECK(error_of(dots.device.write(0, std::string(4 * sector_bytes, 'a'))) == ErrorCode::io);
  CHECK(dots.after({Plan::Kind::all}) == "aa..............");
  CHECK(dots.after({Plan::Kind::none}) == "................");
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == "aa..............");
}

TEST_CASE("a resize that fails for want of space changed nothing; for another reason it may have") {
  Dots dots(2);
  dots.device.inject(
      {.kind = CallKind::resize, .effect = Effect::partly, .code = ErrorCode::no_space});
  CHECK(error_of(dots.device.resize(4096)) == ErrorCode::no_space);
  CHECK(value_of(dots.device.size()) == 1024);
  dots.device.inject({.kind = CallKind::resize, .effect = Effect::partly});
  CHECK(error_of(dots.device.resize(4096)) == ErrorCode::io);
  CHECK(value_of(dots.device.size()) == 4096);
}

TEST_CASE("what a sync has failed on stays open, whatever later syncs answer") {
  Dots dots;
  dots.write(1, 'a');
  dots.write(2, 'b');
  dots.device.inject({.kind = CallKind::sync});
  CHECK_FALSE(dots.device.sync());
  CHECK(read(dots.device, 512, 1) == "a");  // the page cache shows it
  dots.write(5, 'c');
  value_of(dots.device.sync());
  CHECK(read(dots.device, 512, 1) == "a");
  CHECK(dots.after({Plan::Kind::none}) == ".....c..........");
  CHECK(dots.after({Plan::Kind::all}) == ".ab..c..........");
  CHECK(dots.after({Plan::Kind::only, 1}) == "..b..c..........");

  // Written again and synced it is there, and the open write cannot come over it any more.
  dots.write(1, 'd');
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == ".d...c..........");
  CHECK(dots.after({Plan::Kind::all}) == ".db..c..........");
}

TEST_CASE("sizes and punches that a sync has failed on stay open, too") {
  Dots dots(16);
  value_of(dots.device.resize(24 * sector_bytes));
  value_of(dots.device.punch(0, 8 * sector_bytes));
  dots.device.inject({.kind = CallKind::sync});
  CHECK_FALSE(dots.device.sync());
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == std::string(16, '.'));
  CHECK(dots.after({Plan::Kind::all}) ==
        std::string(8, '0') + std::string(8, '.') + std::string(8, '0'));
  // A write that is synced takes along the size that it needs, and no open punch undoes it.
  dots.write(20, 'a');
  dots.write(3, 'b');
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == "...b............0000a");
  CHECK(dots.after({Plan::Kind::all}) == "000b0000........0000a000");
  // A later size that is synced counts.
  value_of(dots.device.resize(10 * sector_bytes));
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == "...b......");
  CHECK(dots.after({Plan::Kind::all}) == "000b0000..");
}

TEST_CASE("a write can be lost or land elsewhere and be answered ok") {
  Dots dots;
  dots.device.inject({.nth = 2, .effect = Effect::lost});
  dots.write(1, 'a');
  dots.write(2, 'b');
  dots.write(3, 'c');
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == ".a.c............");
  dots.device.inject({.effect = Effect::misdirected, .to = 15 * sector_bytes});
  dots.write(4, 'd', 2);
  value_of(dots.device.sync());
  CHECK(dots.after({Plan::Kind::none}) == ".a.c...........d");
}

TEST_CASE("rot is in what is read and in what a crash leaves") {
  Dots dots(1);
  dots.device.rot(7, 0x80);
  CHECK(read(dots.device, 7, 1)[0] == static_cast<char>('.' ^ 0x80));
  CHECK(dots.device.moment().crash({Plan::Kind::none}).bytes(7, 1)[0] ==
        static_cast<char>('.' ^ 0x80));
  CHECK(read(dots.device, 6, 1) == ".");
  dots.device.rot(7, 0x80);
  CHECK(dots.after({Plan::Kind::none}) == ".");
}

TEST_CASE("the log has every call, and the moments those that may change something") {
  Dots dots(2);
  dots.device.keep_moments();
  dots.device.keep_log();
  (void)read(dots.device, 0, 1);
  dots.write(0, 'a');
  value_of(dots.device.sync());
  dots.device.inject({.kind = CallKind::write});
  CHECK_FALSE(dots.device.write(512, "b"));
  const std::vector<KeptMoment> kept = dots.device.moments();
  REQUIRE(kept.size() == 4);
  const auto at = [&](std::size_t i, Plan::Kind kind) {
    return Dots::letters(kept[i].moment.crash({kind}));
  };
  CHECK(kept[0].calls == 3);
  CHECK(at(0, Plan::Kind::all) == "..");
  CHECK(kept[1].calls == 5);
  CHECK(at(1, Plan::Kind::none) == "..");
  CHECK(at(1, Plan::Kind::all) == "a.");
  CHECK(at(2, Plan::Kind::none) == "a.");
  CHECK(kept[3].calls == 7);
  CHECK(at(3, Plan::Kind::all) == "a.");
  CHECK(dots.device.log() ==
        "     4 read 0+1: ok\n"
        "     5 write 0+512: ok\n"
        "     6 sync 0+0: ok\n"
        "     7 write 512+1: failed\n");
  CHECK(dots.device.log(1) == "     7 write 512+1: failed\n");
}

// A plain string beside it, over random calls: pages shared between copies must never leak into
// one another.
TEST_CASE("random calls give what plain strings give, and old moments stay as they were") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    SimulatedDevice device;
    std::string shown;
    std::string durable;
    std::vector<std::pair<Moment, std::pair<std::string, std::string>>> kept;
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t offset = random() % (shown.size() + 1);
      const std::size_t length = random() % 10'000 % (shown.size() - offset + 1);
      switch (random() % 8) {
        case 0: {
          const std::size_t size = random() % 60'000;
          value_of(device.resize(size));
          shown.resize(size, '\0');
          break;
        }
        case 1:
          value_of(device.punch(offset, length));
          shown.replace(offset, length, length, '\0');
          break;
        case 2:
          value_of(device.sync());
          durable = shown;
          break;
        case 3:
          kept.emplace_back(device.moment(), std::pair(durable, shown));
          break;
        case 4:
          value_of(device.allocate(offset, length));
          break;
        default: {
          const std::string bytes(length, static_cast<char>('a' + random() % 26));
          value_of(device.write(offset, bytes));
          shown.replace(offset, length, bytes);
        }
      }
    }
    CHECK(device.image().bytes() == shown);
    for (const auto& [moment, is] : kept) {
      CHECK(moment.crash({Plan::Kind::none}).bytes() == is.first);
      CHECK(moment.crash({Plan::Kind::all}).bytes() == is.second);
      CHECK(moment.crash({Plan::Kind::first, moment.pending.size()}).bytes() == is.second);
    }
  }
}

TEST_CASE("threads may use it together") {
  SimulatedDevice device;
  value_of(device.resize(8 * page_bytes));
  std::vector<std::jthread> threads;
  for (std::size_t me = 0; me < 4; ++me) {
    threads.emplace_back([&device, me] {
      const std::string bytes(page_bytes, static_cast<char>('a' + me));
      std::string back(page_bytes, '?');
      for (int i = 0; i < 200; ++i) {
        if (!device.write(me * page_bytes, bytes) || !device.sync() ||
            !device.read(me * page_bytes, page_bytes, back.data()) || back != bytes) {
          return;
        }
        const DiskImage image = device.moment().crash({Plan::Kind::all});
        if (image.bytes(me * page_bytes, page_bytes) != bytes) return;
      }
      (void)device.write((4 + me) * page_bytes, "done");
    });
  }
  threads.clear();
  for (std::size_t me = 0; me < 4; ++me) CHECK(read(device, (4 + me) * page_bytes, 4) == "done");
}
