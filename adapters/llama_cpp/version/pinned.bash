# llama.cpp v0.5.0, as carried by this source package: what the tests run with. Read by cmake/setup.sh; a change here rebuilds
# build/llama on its next run. What else has to be looked at for another version: docs/llama_versions.md.
# shellcheck shell=bash disable=SC2034
llama_package='llama-cpp-python'
llama_version='0.3.36'
llama_sha256='832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e'
