// Questions: what counts as another one, and what is told about it.
#include "ledger/question.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "model/record_codec.h"

namespace once::ledger {
namespace {

using Fields = std::vector<FieldDigest>;

const Key key("acme", "charge", "42");

FieldDigest field(const std::string& name, const std::string& value = "1") {
  return FieldDigest::of(name, value);
}

Record asked_before(const Fields& fields, std::optional<Fingerprint> fingerprint = {}) {
  Record record;
  record.fingerprint = fingerprint;
  record.fields = model::bind_fields(key, fields);
  return record;
}

bool differs(const Fields& before, const Fields& now) {
  return asks_differently(key, asked_before(before), {.fields = now});
}

Error told(const Fields& before, const Fields& now) {
  const Error error = mismatch(key, asked_before(before), {.fields = now}).error();
  CHECK(error.code == ErrorCode::mismatch);
  CHECK(error.message.find("acme/charge/42") != std::string::npos);
  return error;
}

bool says(const Error& error, std::string_view part) {
  return error.message.find(part) != std::string::npos;
}

TEST_CASE("the same fields in any order are the same question") {
  CHECK_FALSE(differs({field("a"), field("b")}, {field("b"), field("a")}));
  CHECK_FALSE(differs({field("")}, {field("")}));
}

TEST_CASE("a field that differs, was added or is missing makes another question") {
  CHECK(differs({field("a", "1")}, {field("a", "2")}));
  CHECK(differs({field("a")}, {field("a"), field("b")}));
  CHECK(differs({field("a"), field("b")}, {field("a")}));
  CHECK(differs({field("a")}, {field("b")}));
}

TEST_CASE("what only one of the two came with is no difference") {
  CHECK_FALSE(differs({}, {field("a")}));
  CHECK_FALSE(differs({field("a")}, {}));
  const Fingerprint one = Fingerprint::of("1");
  const Fingerprint two = Fingerprint::of("2");
  CHECK_FALSE(asks_differently(key, asked_before({field("a")}), {.fingerprint = one}));
  CHECK_FALSE(asks_differently(key, asked_before({}, one), {.fields = {field("a")}}));
  CHECK(asks_differently(key, asked_before({}, one), {.fingerprint = two}));
  // Either is enough, whatever the other says.
  CHECK(asks_differently(key, asked_before({field("a")}, one),
                         {.fingerprint = two, .fields = {field("a")}}));
  CHECK(asks_differently(key, asked_before({field("a")}, one),
                         {.fingerprint = one, .fields = {field("a", "2")}}));
  CHECK_FALSE(asks_differently(key, asked_before({field("a")}, one),
                               {.fingerprint = one, .fields = {field("a")}}));
}

TEST_CASE("a mismatch names the fields, and says what became of each") {
  const Error error = told({field("same"), field("amount", "1"), field("note")},
                           {field("currency"), field("amount", "2"), field("same")});
  CHECK(error.differing_fields == std::vector<std::string>{"amount", "currency", "note"});
  CHECK(says(error, "'amount' differs"));
  CHECK(says(error, "'currency' was added"));
  CHECK(says(error, "'note' is missing"));
  CHECK_FALSE(says(error, "same"));
}

TEST_CASE("without fields on both sides it is the fingerprint that differs") {
  const Fingerprint one = Fingerprint::of("1");
  const Error error = mismatch(key, asked_before({}, one),
                               {.fingerprint = Fingerprint::of("2"), .fields = {field("a")}})
                          .error();
  CHECK(error.differing_fields.empty());
  CHECK(says(error, "fingerprint"));
  CHECK_FALSE(says(error, "'a'"));
  const Error same = mismatch(key, asked_before({field("a")}, one),
                              {.fingerprint = Fingerprint::of("2"), .fields = {field("a")}})
                         .error();
  CHECK(same.differing_fields.empty());
  CHECK(says(same, "none of the fields"));
}

TEST_CASE("messages stay short and printable; the names are whole in the list") {
  Fields before;
  Fields now;
  for (int i = 0; i < 64; ++i) {
    std::string name = std::string(250, static_cast<char>(i)) + std::to_string(i);
    before.push_back(field(name, "1"));
    now.push_back(field(name, "2"));
  }
  const Error error = told(before, now);
  CHECK(error.differing_fields.size() == 64);
  CHECK(error.differing_fields[1].size() == 251);
  CHECK(says(error, "and 56 more"));
  CHECK(error.message.size() < 1500);
  for (const char c : error.message) CHECK((c >= ' ' && c <= '~'));
  CHECK(says(told({field("/order/amount")}, {field("/order/amount", "2")}), "'/order/amount'"));
  CHECK(says(told({field("gr\xc3\xb6\xc3\x9f"
                         "e")},
                  {field("x")}),
             "'gr%C3%B6%C3%9Fe'"));
}

}  // namespace
}  // namespace once::ledger
