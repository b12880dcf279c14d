#include "engine/embedded/no_options_file.h"

#include <fmt/format.h>
#include <rocksdb/file_system.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/file_name.h"

namespace once::engine {
namespace {

constexpr std::string_view prefix = "OPTIONS-";

class NoOptionsFile final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "once.NoOptionsFile"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    if (file_name_of(path).starts_with(prefix)) {
      return rocksdb::IOStatus::NotSupported("no file of options is kept");
    }
    return target()->NewWritableFile(path, options, file, context);
  }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> without_options_file(
    const std::shared_ptr<rocksdb::FileSystem>& target) {
  return std::make_shared<NoOptionsFile>(target);
}

void remove_options_files(rocksdb::Env& env, const std::string& directory) {
  std::vector<std::string> names;
  if (!env.GetChildren(directory, &names).ok()) return;
  for (const std::string& name : names) {
    if (name.starts_with(prefix)) (void)env.DeleteFile(fmt::format("{}/{}", directory, name));
  }
}

}  // namespace once::engine
