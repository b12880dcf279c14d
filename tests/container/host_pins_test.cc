// Pins: what readers hold, and what the writer sees of it.
#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <vector>

#include "container/host_files.h"
#include "container/host_holder.h"
#include "support/child.h"

using namespace once;
using namespace once::container;
using namespace once::testing;

namespace {

// The places that the writer sees held.
std::vector<std::uint32_t> held_places(HostFile& writer) {
  std::vector<std::uint32_t> places;
  for (std::uint32_t slot = 0; slot < pin_slots; ++slot) {
    if (value_of(writer.pins().held(slot))) places.push_back(slot);
  }
  return places;
}

using Places = std::vector<std::uint32_t>;

// Reads until it is told to end; starts over each time it is told before.
int read_on(const HostPlace& place, Child& me, int times) {
  auto reader = place.open_to_read();
  if (!reader) return 1;
  me.tell();
  for (int i = 0; i < times; ++i) {
    (void)me.wait();
    if (!(*reader)->repin()) return 2;
    me.tell();
  }
  (void)me.wait();
  return 0;
}

}  // namespace

TEST_CASE_FIXTURE(HostPlace, "a reader holds the place that is published, and lets go at its end") {
  auto writer = make();
  CHECK(held_places(*writer) == Places{});
  for (const std::uint32_t slot : {0U, 1U, 17U, pin_slots - 1}) {
    value_of(writer->pins().publish(slot));
    CHECK(held_places(*writer) == Places{});
    const auto reader = value_of(open_to_read());
    CHECK(held_places(*writer) == Places{slot});
    const auto second = value_of(open_to_read());
    CHECK(held_places(*writer) == Places{slot});
  }
  CHECK(held_places(*writer) == Places{});
}

TEST_CASE_FIXTURE(HostPlace, "a place is held until the last of its readers has gone") {
  auto writer = make();
  value_of(writer->pins().publish(4));
  std::optional first = value_of(open_to_read());
  auto second = value_of(open_to_read());
  value_of(writer->pins().publish(5));
  auto third = value_of(open_to_read());
  CHECK(held_places(*writer) == Places{4, 5});
  first.reset();
  CHECK(held_places(*writer) == Places{4, 5});
  second->unlock();
  CHECK(held_places(*writer) == Places{5});
}

TEST_CASE_FIXTURE(HostPlace, "a reader that starts over takes the place that is published then") {
  auto writer = make();
  value_of(writer->pins().publish(2));
  auto reader = value_of(open_to_read());
  value_of(reader->repin());
  CHECK(held_places(*writer) == Places{2});
  value_of(writer->pins().publish(9));
  CHECK(held_places(*writer) == Places{2});
  value_of(reader->repin());
  CHECK(held_places(*writer) == Places{9});
}

TEST_CASE_FIXTURE(HostPlace, "readers of other processes, one of them killed") {
  auto writer = make();
  value_of(writer->pins().publish(7));
  Child killed([this](Child& me) { return read_on(*this, me, 0); });
  REQUIRE(killed.wait());
  CHECK(held_places(*writer) == Places{7});
  value_of(writer->pins().publish(8));
  Child other([this](Child& me) { return read_on(*this, me, 1); });
  REQUIRE(other.wait());
  CHECK(held_places(*writer) == Places{7, 8});
  killed.kill(SIGKILL);
  CHECK(killed.end() == -SIGKILL);
  CHECK(held_places(*writer) == Places{8});
  value_of(writer->pins().publish(3));
  other.tell();
  REQUIRE(other.wait());
  CHECK(held_places(*writer) == Places{3});
  other.tell();
  CHECK(other.end() == 0);
  CHECK(held_places(*writer) == Places{});
}

TEST_CASE_FIXTURE(HostPlace, "a writer that comes later sees who reads already") {
  {
    auto writer = make();
    value_of(writer->pins().publish(11));
  }
  const auto reader = value_of(open_to_read());
  auto writer = value_of(open());
  CHECK(held_places(*writer) == Places{11});
  // What is published stays so until another place is.
  const auto second = value_of(open_to_read());
  CHECK(held_places(*writer) == Places{11});
}

TEST_CASE_FIXTURE(HostPlace, "a forked child keeps no place") {
  auto writer = make();
  auto reader = value_of(open_to_read());
  Child child([&](Child& me) {
    const auto again = reader->repin();
    me.tell();
    (void)me.wait();
    return !again && again.error().code == ErrorCode::forked ? 0 : 1;
  });
  REQUIRE(child.wait());
  CHECK(held_places(*writer) == Places{0});
  reader.reset();
  CHECK(held_places(*writer) == Places{});
  child.tell();
  CHECK(child.end() == 0);
}

TEST_CASE_FIXTURE(HostPlace, "a page that cannot be read stands for place 0") {
  auto writer = make();
  value_of(writer->pins().publish(6));
  for (const std::string& damaged :
       {std::string(8, '\0'), std::string(8, '\xff'), encode_published_place(pin_slots),
        encode_published_place(6).substr(0, 7) + "x"}) {
    value_of(writer->device().write(published_place_offset, damaged));
    const auto reader = value_of(open_to_read());
    CHECK(held_places(*writer) == Places{0});
  }
}

TEST_CASE_FIXTURE(HostPlace, "a place published before there is a page is written with the page") {
  auto writer = value_of(open());
  value_of(writer->pins().publish(12));
  CHECK(value_of(writer->device().size()) == 0);
  value_of(fill(*writer));
  value_of(writer->publish());
  CHECK(held_places(*writer) == Places{});
  value_of(writer->announce());
  const auto reader = value_of(open_to_read());
  CHECK(held_places(*writer) == Places{12});
}

TEST_CASE_FIXTURE(HostPlace, "who publishes a place says who it is, too") {
  auto writer = value_of(open());
  value_of(fill(*writer));
  value_of(writer->publish());
  value_of(writer->pins().publish(12));
  Child other([this](Child&) {
    const auto second = open();
    return !second && says(second.error(), pid_text(::getppid())) ? 0 : 1;
  });
  CHECK(other.end() == 0);
}

TEST_CASE_FIXTURE(HostPlace, "a fork that outlives a killed reader keeps no place") {
  auto writer = make();
  value_of(writer->pins().publish(3));
  Child reader([this](Child& me) {
    const auto file = open_to_read();
    const pid_t fork = file ? ::fork() : -1;
    if (fork == 0) {
      me.tell();
      while (me.wait()) {
      }
      return 0;
    }
    ::pause();
    return 1;
  });
  REQUIRE(reader.wait());
  CHECK(held_places(*writer) == Places{3});
  reader.kill(SIGKILL);
  CHECK(reader.end() == -SIGKILL);
  CHECK(held_places(*writer) == Places{});
}

TEST_CASE_FIXTURE(HostPlace, "a file too short for a page is read under place 0") {
  write_file(path, "short");
  const auto reader = value_of(open_to_read());
  auto writer = value_of(open());
  CHECK(held_places(*writer) == Places{0});
}

TEST_CASE_FIXTURE(HostPlace, "there are no places beyond the last one") {
  auto writer = make();
  CHECK(error_of(writer->pins().publish(pin_slots)) == ErrorCode::invalid_argument);
  CHECK(error_of(writer->pins().held(pin_slots)) == ErrorCode::invalid_argument);
}

TEST_CASE_FIXTURE(HostPlace, "the one who comes first or last is seen while places are published") {
  // The writer's promise (pins.h) rests on this: a reader either is seen after the next place has
  // been published, or has taken that one.
  auto writer = make();
  value_of(writer->pins().publish(0));
  constexpr int rounds = 300;
  Child child([this](Child& me) {
    for (int i = 0; i < rounds; ++i) {
      (void)me.wait();
      auto reader = open_to_read();
      if (!reader) return 1;
      me.tell();
      (void)me.wait();
      reader->reset();
      me.tell();
    }
    return 0;
  });
  std::uint32_t published = 0;
  for (int i = 0; i < rounds; ++i) {
    child.tell();
    const std::uint32_t before = published;
    published = (published + 1) % pin_slots;
    value_of(writer->pins().publish(published));
    REQUIRE(child.wait());
    const Places held = held_places(*writer);
    REQUIRE(held.size() == 1);
    CHECK((held[0] == before || held[0] == published));
    child.tell();
    REQUIRE(child.wait());
    CHECK(held_places(*writer) == Places{});
  }
  CHECK(child.end() == 0);
}
