// That this links says that no public header defines a thing twice; there is nothing to run.
#include <once/once.h>

int main() {
  return once::version.empty() ? 1 : 0;
}
