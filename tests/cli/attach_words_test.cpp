// The line in front of the program of `namm attach`.
#include "tests/support/program.hpp"

using namespace namm::test;

TEST_CASE("attach: a forgotten -- is said, with the line as it should be") {
  check_refused(run_program({"attach", "llama-server", "-m", "X"}), 2,
                {"put -- before the program: `namm attach -- llama-server -m X`"});
  check_refused(run_program({"attach", "-b", "25%", "--policy=h2o", "--print", "llama-cli", "-p", "two words"}), 2,
                {"`namm attach -b 25% --policy=h2o --print -- llama-cli -p 'two words'`"});
  check_refused(run_program({"attach", "--polcy", "h2o", "llama-server"}), 2, {"'namm attach --help'", "--polcy", "--policy"});
  CHECK(run_program({"attach", "--help", "llama-server"}).code == 0);
}

TEST_CASE("attach: a program that is not there is said before anything else") {
  check_refused(run_program({"attach", "--", "llama-no-such-server", "-m", "X"}), 1,
                {"llama-no-such-server not found beside namm, in build/llama/bin and on the PATH", "setup.sh --with-server"});
  check_refused(run_program({"attach", "--", "no-such-program"}), 1,
                {"no-such-program not found on the PATH", "path behind '--'"});
  check_refused(run_program({"attach", "--", "/nowhere/llama-server"}), 1, {"/nowhere/llama-server", "cannot be found"});
}
