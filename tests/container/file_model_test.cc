// The model against RocksDB's own file system, over random programs: what it says of a call is what
// RocksDB is used to. And its oracle against what must not pass.
#include "container/file_model.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "container/file_program.h"
#include "container/random_program.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using Kind = Op::Kind;

namespace {

constexpr const char* a_log = "/db/000001.log";
constexpr const char* a_table = "/db/000004.sst";

// A model after these calls, all of which must be ok.
FileModel after(const std::vector<Op>& ops) {
  FileModel model;
  for (const Op& op : ops) {
    CAPTURE(op.describe());
    REQUIRE(model.run(op).ok());
  }
  return model;
}

std::vector<Op> joined(std::vector<Op> ops, const std::vector<Op>& more) {
  ops.insert(ops.end(), more.begin(), more.end());
  return ops;
}

const std::vector<Op> a_directory = {{.kind = Kind::make_directory, .path = "/db"},
                                     {.kind = Kind::sync_directory, .path = "/"}};

}  // namespace

TEST_CASE("the model answers as RocksDB's own file system does") {
  std::uint64_t calls = 0;
  for (std::uint64_t seed = 0; seed < 80; ++seed) {
    TemporaryDirectory directory(quick_place());
    Runner runner(rocksdb::FileSystem::Default(), directory.path());
    FileModel model;
    const std::string bytes = random_bytes(seed, 1500);
    ProgramReader program(bytes);
    while (const auto op = program.next()) {
      // Where an ordinary file system does otherwise, and RocksDB cannot tell or does not mind: a
      // file that is made anew stays one with its other names, a log is opened again.
      const bool other_names = op->kind == Kind::create && model.links(op->path) > 1;
      const bool other_log = op->kind == Kind::reopen && model.is_log(op->path);
      if (!model.is_laid_down(*op) || other_names || other_log || op->kind == Kind::reuse) continue;
      const Answer is = runner.run(*op);
      const Answer should = model.run(*op);
      // Of what would be below a file some file systems say so, in words of their own.
      if (is.message.find("Not a directory") != std::string::npos && !should.ok()) continue;
      if (is != should) {
        CAPTURE(seed);
        CAPTURE(op->describe());
        CAPTURE(should.describe());
        FAIL(is.describe());
      }
      ++calls;
    }
    Tree found;
    REQUIRE(read_tree(*rocksdb::FileSystem::Default(), directory.path(), &found).ok());
    Tree tree;
    for (auto& [path, content] : found) tree[path.substr(directory.path().size())] = content;
    CHECK(model.difference_to(tree) == "");
  }
  MESSAGE(calls << " calls answered alike");
  CHECK(calls > 10'000);
}

TEST_CASE("what was synced has to be found, and what was not may be missing") {
  const FileModel model =
      after(joined(a_directory, {{.kind = Kind::create, .path = a_table},
                                 {.kind = Kind::append, .length = 100},
                                 {.kind = Kind::sync},
                                 {.kind = Kind::append, .length = 50},
                                 {.kind = Kind::sync_directory, .path = "/db"},
                                 {.kind = Kind::make_directory, .path = "/x"}}));
  Tree found = model.tree();
  CHECK(model.problem_with(found, model) == "");
  found.erase("/x");
  CHECK(model.problem_with(found, model) == "");
  const std::string whole = *found[a_table];
  for (const std::size_t length : {150u, 149u, 101u, 100u}) {
    found[a_table] = whole.substr(0, length);
    CHECK(model.problem_with(found, model) == "");
  }
  found[a_table] = whole.substr(0, 99);
  CHECK(model.problem_with(found, model) != "");
  found[a_table] = whole + "x";
  CHECK(model.problem_with(found, model) != "");
  found[a_table] = whole;
  found[a_table]->at(120) ^= 1;
  CHECK(model.problem_with(found, model) != "");
  found.erase(a_table);
  CHECK(model.problem_with(found, model) != "");
  found[a_table] = std::nullopt;
  CHECK(model.problem_with(found, model) != "");
  found[a_table] = whole;
  found["/db/stray"] = "";
  CHECK(model.problem_with(found, model) != "");
}

TEST_CASE("a log is cut between appends only") {
  const FileModel model = after(joined(a_directory, {{.kind = Kind::create, .path = a_log},
                                                     {.kind = Kind::append, .length = 100},
                                                     {.kind = Kind::append, .length = 10},
                                                     {.kind = Kind::sync_directory, .path = "/"}}));
  Tree found = model.tree();
  const std::string whole = *found[a_log];
  for (std::size_t length = 0; length <= 110; ++length) {
    found[a_log] = whole.substr(0, length);
    const bool fits = length == 0 || length == 100 || length == 110;
    CHECK((model.problem_with(found, model) == "") == fits);
  }
}

TEST_CASE("a log with bytes needs all that the logs before it had when it was made") {
  const std::vector<Op> two =
      joined(a_directory, {{.kind = Kind::create, .path = a_log},
                           {.kind = Kind::append, .length = 100},
                           {.kind = Kind::append, .length = 10},
                           {.kind = Kind::create, .path = "/db/000002.log", .slot = 1},
                           {.kind = Kind::append, .length = 7, .slot = 1},
                           {.kind = Kind::append, .length = 20},
                           {.kind = Kind::sync_directory, .path = "/"}});
  const FileModel model = after(two);
  Tree found = model.tree();
  const std::string whole = *found[a_log];
  found[a_log] = whole.substr(0, 110);
  CHECK(model.problem_with(found, model) == "");
  found[a_log] = whole.substr(0, 100);
  CHECK(model.problem_with(found, model) != "");
  found["/db/000002.log"] = "";
  CHECK(model.problem_with(found, model) == "");
}

TEST_CASE("names are those of one moment, and not before the last sync of names") {
  const std::vector<Op> made = joined(a_directory, {{.kind = Kind::create, .path = a_table},
                                                    {.kind = Kind::append, .length = 9},
                                                    {.kind = Kind::sync},
                                                    {.kind = Kind::sync_directory, .path = "/db"}});
  const std::vector<Op> renamed =
      joined(made, {{.kind = Kind::rename, .path = a_table, .to = "/db/a"},
                    {.kind = Kind::rename, .path = "/db/a", .to = "/db/b"}});
  const FileModel model = after(renamed);
  const auto with = [&](const std::vector<std::string>& names) {
    Tree found{{"/db", std::nullopt}};
    for (const std::string& name : names) found[name] = bytes_of(1, 9);
    return found;
  };
  CHECK(model.problem_with(with({a_table}), model) == "");
  CHECK(model.problem_with(with({"/db/a"}), model) == "");
  CHECK(model.problem_with(with({"/db/b"}), model) == "");
  CHECK(model.problem_with(with({"/db/a", "/db/b"}), model) != "");
  CHECK(model.problem_with(with({}), model) != "");
  const FileModel synced = after(joined(renamed, {{.kind = Kind::sync_directory, .path = "/db"}}));
  CHECK(synced.problem_with(with({a_table}), synced) != "");
  CHECK(synced.problem_with(with({"/db/b"}), synced) == "");
  // With the call under way: before it and after it.
  const FileModel under_way = after(joined(renamed, {{.kind = Kind::sync_directory, .path = "/db"},
                                                     {.kind = Kind::remove, .path = "/db/b"}}));
  CHECK(synced.problem_with(with({}), synced) != "");
  CHECK(synced.problem_with(with({}), under_way) == "");
  CHECK(synced.problem_with(with({"/db/b"}), under_way) == "");
}

TEST_CASE("a cut that was not synced may not have happened") {
  const FileModel model = after(joined(a_directory, {{.kind = Kind::create, .path = a_table},
                                                     {.kind = Kind::append, .length = 100},
                                                     {.kind = Kind::sync},
                                                     {.kind = Kind::sync_directory, .path = "/db"},
                                                     {.kind = Kind::close},
                                                     {.kind = Kind::reopen, .path = a_table},
                                                     {.kind = Kind::cut, .length = 40}}));
  Tree found = model.tree();
  CHECK(found[a_table]->size() == 40);
  CHECK(model.problem_with(found, model) == "");
  found[a_table] = bytes_of(1, 100);
  CHECK(model.problem_with(found, model) == "");
  found[a_table] = bytes_of(1, 99);
  CHECK(model.problem_with(found, model) != "");
}
