#include "engine/embedded/numbering.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/error.h"
#include "model/numbers.h"
#include "support/check_result.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;

namespace {

struct Saved {
  std::vector<std::uint64_t> openings;
  bool fails = false;

  Numbering::SaveOpening save() {
    return [this](std::uint64_t opening) -> Result<void> {
      if (fails) return fail(ErrorCode::io, "not saved");
      openings.push_back(opening);
      return {};
    };
  }
};

}  // namespace

TEST_CASE("numbers grow from the opening on, and tokens and sequences are counted apart") {
  Saved saved;
  Numbering numbering(saved.save());
  value_of(numbering.raise(7));
  CHECK(saved.openings == std::vector<std::uint64_t>{7});
  CHECK(numbering.opening() == 7);
  const Token first = value_of(numbering.token());
  CHECK(model::opening_of(first.value) == 7);
  CHECK(first.value != model::number_before(7));  // 0 stands for none
  std::uint64_t last = first.value;
  for (int i = 0; i < 1000; ++i) {
    const Token next = value_of(numbering.token());
    CHECK(next.value > last);
    last = next.value;
  }
  CHECK(value_of(numbering.sequence()) == first.value);
  CHECK(saved.openings.size() == 1);
}

TEST_CASE("a raise never goes back") {
  Saved saved;
  Numbering numbering(saved.save());
  value_of(numbering.raise(9));
  const Token before = value_of(numbering.token());
  value_of(numbering.raise(3));
  CHECK(numbering.opening() == 10);
  CHECK(value_of(numbering.token()) > before);
}

TEST_CASE("a counter that is used up raises the opening, durably, for tokens and sequences") {
  Saved saved;
  Numbering numbering(saved.save());
  value_of(numbering.raise(1));
  const std::uint64_t all = model::number_before(1) - 1;
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < all; ++i) last = numbering.token()->value;
  CHECK(model::opening_of(last) == 1);
  const std::uint64_t sequence = value_of(numbering.sequence());
  CHECK(saved.openings.size() == 1);

  saved.fails = true;
  CHECK(error_of(numbering.token()) == ErrorCode::io);
  CHECK(numbering.opening() == 1);
  saved.fails = false;

  const Token next = value_of(numbering.token());
  CHECK(next.value > last);
  CHECK(model::opening_of(next.value) == 2);
  CHECK(saved.openings.back() == 2);
  CHECK(value_of(numbering.sequence()) > sequence);
}

TEST_CASE("an opening that cannot be saved gives no numbers of its own") {
  Saved saved;
  Numbering numbering(saved.save());
  value_of(numbering.raise(4));
  const Token before = value_of(numbering.token());
  saved.fails = true;
  CHECK(error_of(numbering.raise(5)) == ErrorCode::io);
  CHECK(numbering.opening() == 4);
  CHECK(value_of(numbering.token()) > before);
}
