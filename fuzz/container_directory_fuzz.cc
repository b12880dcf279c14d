// Any bytes as a program of file system calls: on a container, and on an ordinary directory. Both
// answer the same, and have the same in them at the end.
#include <rocksdb/file_system.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include "check.h"
#include "container/container_place.h"
#include "container/file_model.h"
#include "container/file_program.h"
#include "container/random_program.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;

namespace {

// Where an ordinary directory does otherwise, and RocksDB cannot tell or does not mind: a file that
// is made anew stays one with its other names, a log is opened again. The model knows where that
// is.
bool is_alike(const FileModel& model, const Op& op) {
  const bool other_names = op.kind == Op::Kind::create && model.links(op.path) > 1;
  const bool other_log = op.kind == Op::Kind::reopen && model.is_log(op.path);
  return model.is_laid_down(op) && !other_names && !other_log && op.kind != Op::Kind::reuse;
}

bool is_same(const Answer& one, const Answer& other) {
  if (one == other) return true;
  // Of what would be below a file some file systems say so, in words of their own.
  return !one.ok() && !other.ok() && other.message.find("Not a directory") != std::string::npos;
}

Tree tree_of(rocksdb::FileSystem& files, const std::string& root) {
  Tree tree;
  ONCE_CHECK(read_tree(files, root, &tree).ok());
  Tree without_root;
  for (auto& [path, bytes] : tree) without_root[path.substr(root.size())] = std::move(bytes);
  return without_root;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 2048) return 0;
  const TemporaryDirectory directory(quick_place());
  Runner ordinary(rocksdb::FileSystem::Default(), directory.path());
  auto opened = open_place(std::make_shared<SimulatedDevice>());
  ONCE_CHECK(opened.has_value());
  ContainerPlace place = std::move(*opened);
  Runner contained(place.files);
  attach(contained, place);
  FileModel model;
  ProgramReader program(fuzz::view(data, size));
  while (const auto op = program.next()) {
    if (!is_alike(model, *op)) continue;
    (void)model.run(*op);
    const Answer is = contained.run(*op);
    const Answer should = ordinary.run(*op);
    if (is_same(is, should)) continue;
    std::fprintf(stderr, "%s: the container answers %s, the directory %s\n", op->describe().c_str(),
                 is.describe().c_str(), should.describe().c_str());
    ONCE_CHECK(is_same(is, should));
  }
  ONCE_CHECK(tree_of(*place.files, "") ==
             tree_of(*rocksdb::FileSystem::Default(), directory.path()));
  return 0;
}
