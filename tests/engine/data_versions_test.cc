#include "engine/embedded/data_versions.h"

#include <doctest/doctest.h>

#include <string>

using namespace once;
using namespace once::engine;

namespace {

DataChanges write(const Bytes& key) {
  return {.writes = {{key, Bytes("value")}}};
}

DataChanges read_at(std::uint64_t version, const Bytes& key) {
  return {.version = version, .read = {key}};
}

DataChanges range_at(std::uint64_t version, const Bytes& from, const Bytes& to) {
  return {.version = version, .ranges = {{from, to}}};
}

}  // namespace

TEST_CASE("a key that was written since it was read is a conflict, an older write is none") {
  DataVersions versions;
  versions.note(write("a"));
  const std::uint64_t seen = versions.last();
  CHECK_FALSE(versions.conflicts(read_at(seen, "a")));
  versions.note(write("a"));
  CHECK(versions.last() == seen + 1);
  CHECK(versions.conflicts(read_at(seen, "a")));
  CHECK_FALSE(versions.conflicts(read_at(seen + 1, "a")));
  CHECK_FALSE(versions.conflicts(read_at(seen, "another key")));
}

TEST_CASE("an erased key counts as written") {
  DataVersions versions;
  versions.note({.writes = {{"a", std::nullopt}}});
  CHECK(versions.conflicts(read_at(0, "a")));
}

TEST_CASE("a commit without writes makes no version, and blind writes never conflict") {
  DataVersions versions;
  versions.note({.read = {"a"}});
  CHECK(versions.last() == 0);
  versions.note(write("a"));
  CHECK_FALSE(versions.conflicts(write("a")));
}

TEST_CASE("ranges: from is in, to is out, an empty `to` is the end") {
  DataVersions versions;
  versions.note(write("m"));
  CHECK(versions.conflicts(range_at(0, "m", "n")));
  CHECK(versions.conflicts(range_at(0, "a", "z")));
  CHECK(versions.conflicts(range_at(0, "a", "")));
  CHECK_FALSE(versions.conflicts(range_at(0, "a", "m")));
  CHECK_FALSE(versions.conflicts(range_at(0, "n", "")));
  CHECK_FALSE(versions.conflicts(range_at(versions.last(), "a", "")));
}

TEST_CASE("a range whose past is not listed any more counts as changed") {
  DataVersions versions;
  versions.note(write("early"));
  const std::uint64_t seen = versions.last();
  for (int i = 0; i < 10'000; ++i) versions.note(write("x" + std::to_string(i)));
  CHECK(versions.conflicts(range_at(seen, "a", "b")));
  CHECK_FALSE(versions.conflicts(range_at(versions.last(), "a", "b")));
  // What is still listed is known exactly.
  CHECK_FALSE(versions.conflicts(range_at(versions.last() - 10, "a", "b")));
}
