#include "container/crash_program.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "support/check_result.h"

namespace once::testing {

using Kind = Op::Kind;

namespace {

constexpr std::size_t manifest = 0;
constexpr std::size_t wal = 1;
constexpr std::size_t other = 2;

class Program {
 public:
  std::vector<Op> ops;

  void add(const Op& op) { ops.push_back(op); }
  void append(std::size_t slot, std::uint64_t length) {
    add({.kind = Kind::append, .length = length, .slot = slot});
  }
  void commit(std::size_t slot, std::uint64_t length) {
    append(slot, length);
    add({.kind = Kind::sync, .slot = slot});
  }
  void sync_names(const char* path) { add({.kind = Kind::sync_directory, .path = path}); }
  void whole_file(const std::string& path, std::initializer_list<std::uint64_t> lengths) {
    add({.kind = Kind::create, .path = path, .slot = other});
    for (const std::uint64_t length : lengths) append(other, length);
    add({.kind = Kind::sync, .slot = other});
    add({.kind = Kind::close, .slot = other});
  }
  // A small file is exchanged as a whole, as CURRENT and OPTIONS are.
  void exchange(const std::string& path, std::uint64_t length) {
    whole_file("/db/000000.dbtmp", {length});
    add({.kind = Kind::rename, .path = "/db/000000.dbtmp", .to = path});
    sync_names("/db");
  }
  void new_wal(int number) {
    add({.kind = Kind::create, .path = fmt::format("/db/{:06}.log", number), .slot = wal});
  }
  void remove(const std::string& path) { add({.kind = Kind::remove, .path = path}); }
};

void begin(Program& program) {
  program.add({.kind = Kind::make_directory_if_missing, .path = "/db"});
  program.sync_names("/");
  program.add({.kind = Kind::create, .path = "/db/MANIFEST-000001", .slot = manifest});
  program.commit(manifest, 57);
  program.exchange("/db/CURRENT", 16);
  program.exchange("/db/IDENTITY", 37);
  program.new_wal(4);
  program.commit(wal, 20);
  program.sync_names("/db");
  program.exchange("/db/OPTIONS-000005", 6200);
}

// A log fills, is flushed into a table, and goes.
void flush(Program& program, int number) {
  for (const std::uint64_t length : {120u, 700u, 33u}) program.commit(wal, length);
  program.append(wal, 2000);
  program.append(wal, 512);
  program.commit(wal, 1);
  program.append(wal, 90);
  program.new_wal(number);
  program.append(wal, 64);
  program.whole_file(fmt::format("/db/{:06}.sst", number + 1), {4096, 9000, 777});
  program.sync_names("/db");
  program.commit(manifest, 180);
  program.remove(fmt::format("/db/{:06}.log", number - 3));
  program.commit(wal, 400);
}

void large_batch(Program& program) {
  // More than is allocated ahead, in several appends.
  program.append(wal, 40'000);
  program.append(wal, 40'000);
  program.commit(wal, 5000);
}

void checkpoint(Program& program) {
  program.add({.kind = Kind::make_directory, .path = "/copy.tmp"});
  program.add({.kind = Kind::link, .path = "/db/000008.sst", .to = "/copy.tmp/000008.sst"});
  program.whole_file("/copy.tmp/MANIFEST-000009", {237});
  program.whole_file("/copy.tmp/CURRENT", {16});
  program.sync_names("/copy.tmp");
  program.add({.kind = Kind::rename, .path = "/copy.tmp", .to = "/copy"});
  program.sync_names("/");
}

void compact_tables(Program& program) {
  program.whole_file("/db/000020.sst", {30'000, 30'000});
  program.whole_file("/db/000021.blob", {12'345});
  program.sync_names("/db");
  program.commit(manifest, 300);
  program.remove("/db/000008.sst");
  program.remove("/db/000011.sst");
}

void remove_copy(Program& program) {
  program.remove("/copy/CURRENT");
  program.remove("/copy/MANIFEST-000009");
  program.remove("/copy/000008.sst");
  program.add({.kind = Kind::remove_directory, .path = "/copy"});
  program.sync_names("/");
}

void look(Program& program) {
  program.add({.kind = Kind::list, .path = "/db"});
  program.add({.kind = Kind::read, .path = "/db/CURRENT"});
  program.add({.kind = Kind::read, .path = "/db/000020.sst"});
  program.add({.kind = Kind::read_at, .path = "/db/000021.blob", .length = 100, .offset = 12'300});
  program.add({.kind = Kind::exists, .path = "/db/none"});
}

void new_manifest(Program& program) {
  program.add({.kind = Kind::create, .path = "/db/MANIFEST-000022", .slot = manifest});
  program.append(manifest, 900);
  program.commit(manifest, 60);
  program.exchange("/db/CURRENT", 16);
  program.remove("/db/MANIFEST-000001");
}

void seldom(Program& program) {
  // Cut, and written on from there.
  program.add({.kind = Kind::reopen, .path = "/db/000021.blob", .slot = other});
  program.add({.kind = Kind::cut, .length = 5000, .slot = other});
  program.commit(other, 3000);
  program.append(other, 100);
  program.add({.kind = Kind::drop, .slot = other});
  // Never synced; removed while it is being written; made anew over one that is there.
  program.add({.kind = Kind::create, .path = "/db/000030.sst", .slot = other});
  program.append(other, 20'000);
  program.remove("/db/000030.sst");
  program.append(other, 9000);
  program.add({.kind = Kind::drop, .slot = other});
  program.add({.kind = Kind::create, .path = "/db/000014.sst", .slot = other});
  program.append(other, 100);
  program.add({.kind = Kind::close, .slot = other});
  program.add({.kind = Kind::reuse, .path = "/db/000040.log", .to = "/db/000010.log", .slot = wal});
  program.commit(wal, 1500);
}

}  // namespace

std::vector<Op> crash_program() {
  Program program;
  begin(program);
  flush(program, 7);
  flush(program, 10);
  large_batch(program);
  checkpoint(program);
  compact_tables(program);
  program.add({.kind = Kind::give_back});
  program.add({.kind = Kind::restart});
  look(program);
  program.add({.kind = Kind::create, .path = "/db/MANIFEST-000012", .slot = manifest});
  program.commit(manifest, 200);
  program.new_wal(13);
  program.commit(wal, 99);
  program.add({.kind = Kind::create, .path = "/db/000010.log", .slot = 3});
  program.add({.kind = Kind::close, .slot = 3});
  flush(program, 16);
  remove_copy(program);
  new_manifest(program);
  program.add({.kind = Kind::compact});
  look(program);
  seldom(program);
  large_batch(program);
  return program.ops;
}

std::size_t Recording::ended_at(const KeptMoment& moment) const {
  const auto after = std::ranges::upper_bound(calls, moment.calls);
  return static_cast<std::size_t>(after - calls.begin()) - 1;
}

Recording record(const std::vector<Op>& program) {
  Recording recording;
  recording.ops = program;
  auto device = std::make_shared<SimulatedDevice>();
  ContainerPlace place = value_of(open_place(device));
  Runner runner(place.files);
  attach(runner, place);
  FileModel model;
  device->keep_moments();
  const auto keep = [&] {
    recording.models.push_back(model);
    recording.calls.push_back(device->calls().total);
  };
  keep();
  for (const Op& op : program) {
    CAPTURE(op.describe());
    REQUIRE(model.is_laid_down(op));
    const Answer is = runner.run(op);
    CAPTURE(is.describe());
    REQUIRE(is == model.run(op));
    keep();
  }
  recording.moments = device->moments();
  recording.device = device;
  return recording;
}

}  // namespace once::testing
