// Options that several subcommands have.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <utility>

#include "tools/infer/args.h"

namespace qiao::tools {

inline constexpr char kModelHelp[] =
    "The model: a folder (config.json, *.safetensors, tokenizer.json) or a .qiao file";

// The bounds themselves would only clutter the help; an error states them.
template <typename T>
CLI::Validator Between(T lo, T hi) {
  return CLI::Range(lo, hi).description("");
}

// A number of bytes, such as 8GB.
CLI::Validator ByteSize();

// Absent where `text` is not KEY=VALUE.
std::optional<std::pair<std::string, std::string>> KeyValue(const std::string& text);

void AddDevice(CLI::App* sub, DeviceArgs& d, bool with_context = true);
void AddDrafting(CLI::App* sub, DeviceArgs& d);
// The load of `bench`; every option but --requests needs --requests.
void AddLoad(CLI::App* sub, LoadArgs& l);
// All of `serve` but the model and --config.
void AddServeOptions(CLI::App* sub, ServeArgs& a);
// The same on a server elsewhere; after AddModel, AddLoad, AddDrafting and AddDevice.
void AddUrl(CLI::App* sub, LoadArgs& l);
void AddSampling(CLI::App* sub, SamplingArgs& s);

// MODEL may be given as --model too, which then is what MODEL would have been.
void AddModel(CLI::App* sub, std::string& model);

}  // namespace qiao::tools
