// JSON that was nested deeper than what is read, and numbers that JSON does not have, were kept as
// the outcome of their key, which then could not be read by anybody, for as long as it was kept.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "once/json_codec.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;
using Json = nlohmann::json;

namespace {

struct Reading {
  double celsius = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Reading, celsius)

struct Packed {
  Json value;
};
void to_json(Json& json, const Packed& packed) {
  json = packed.value;
}
void from_json(const Json& json, Packed& packed) {
  packed.value = json;
}

// Lists and objects by turns, so many around each other.
Json nested(std::size_t depth) {
  Json value = Json::array();
  for (std::size_t i = 1; i < depth; ++i) {
    Json outer = i % 2 == 0 ? Json::array() : Json::object();
    if (outer.is_array()) {
      outer.push_back(1);
      outer.push_back(std::move(value));
    } else {
      outer["in"] = std::move(value);
    }
    value = std::move(outer);
  }
  return value;
}

template <class Work>
void check_not_kept(Store& store, const Work& work) {
  CHECK_THROWS_AS((void)store.execute("k", work, {.on_abandon = OnAbandon::rerun}),
                  std::invalid_argument);
  CHECK(value_of(store.status("k")) != KeyStatus::completed);
}

}  // namespace

template <>
struct once::Codec<Reading> : once::JsonCodec<Reading> {};
template <>
struct once::Codec<Packed> : once::MessagePackCodec<Packed> {};

TEST_CASE("what is nested too deep to be read is not kept") {
  Store store = Simulation().open();
  for (const std::size_t depth : {501U, 600U, 2000U}) {
    check_not_kept(store, [&] { return nested(depth); });
    check_not_kept(store, [&] { return Packed{nested(depth)}; });
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(value_of(store.execute("json", [] { return nested(500); })).value() == nested(500));
    CHECK(value_of(store.execute("packed", [] { return Packed{nested(500)}; })).value().value ==
          nested(500));
  }
}

TEST_CASE("a number that JSON does not have is not kept, and MessagePack has it") {
  Store store = Simulation().open();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double number : {infinity, -infinity, std::nan("")}) {
    check_not_kept(store, [&] { return Reading{number}; });
    check_not_kept(store, [&] { return Json::array({1, {{"a", number}}}); });
    CHECK_THROWS_AS((void)Argument<Json>::write(Json(number)), std::invalid_argument);
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(value_of(store.execute("packed", [&] { return Packed{infinity}; })).value().value ==
          infinity);
  }
}
