// The files of a directory, for tests that look at, copy and damage stores.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace once::testing {

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// Name and content of each file.
inline std::map<std::string, std::string> files_of(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      files[entry.path().filename().string()] = read_file(entry.path().string());
    }
  }
  return files;
}

// Puts `files` in place of what is in `directory`.
inline void write_files(const std::string& directory,
                        const std::map<std::string, std::string>& files) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  for (const auto& [name, content] : files) write_file(directory + "/" + name, content);
}

}  // namespace once::testing
