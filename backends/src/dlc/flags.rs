//! The flags of `dlc submit`, and where each goes in the request. As in the service's page on commands used to submit
//! jobs; `data_source_uris`, `extended_cidrs` and `advanced_settings` as its client takes them.

/// What a flag's value is, and where it goes: keys from the root of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    /// One value.
    To(&'static [&'static str]),
    /// A list, separated by commas.
    List(&'static [&'static str]),
    /// `name=text`, separated by commas.
    Pairs(&'static [&'static str]),
    /// Minutes, where 0 means that there is no limit.
    Minutes(&'static [&'static str]),
    /// Data sets by their ids.
    DataSources,
    /// Data by addresses.
    DataSourceUris,
    /// A file with more flags.
    File,
    /// The region.
    Region,
    /// The endpoint.
    Endpoint,
    /// Only `https`.
    Protocol,
    /// A setting of the client that has no effect here.
    Client,
    /// A credential, or a file that holds one.
    Credential,
}

/// Flags without which the client waits for no value: `--chief` is `--chief=true`.
pub(super) const SWITCHES: &[&str] = &["chief", "interactive"];

/// Letters for flags that are for every command.
pub(super) const SHORT: &[(&str, &str)] = &[("r", "region"), ("e", "endpoint"), ("c", "config")];

/// Flags that are not for one kind of node.
pub(super) const FLAGS: &[(&str, Goes)] = &[
    ("name", Goes::To(&["DisplayName"])),
    ("command", Goes::To(&["UserCommand"])),
    ("data_sources", Goes::DataSources),
    ("data_source_uris", Goes::DataSourceUris),
    ("code_source", Goes::To(&["CodeSource", "CodeSourceId"])),
    ("code_branch", Goes::To(&["CodeSource", "Branch"])),
    ("code_commit", Goes::To(&["CodeSource", "Commit"])),
    ("thirdparty_libs", Goes::List(&["ThirdpartyLibs"])),
    ("thirdparty_lib_dir", Goes::To(&["ThirdpartyLibDir"])),
    ("vpc_id", Goes::To(&["UserVpc", "VpcId"])),
    ("switch_id", Goes::To(&["UserVpc", "SwitchId"])),
    ("security_group_id", Goes::To(&["UserVpc", "SecurityGroupId"])),
    ("extended_cidrs", Goes::List(&["UserVpc", "ExtendedCIDRs"])),
    ("default_route", Goes::To(&["UserVpc", "DefaultRoute"])),
    ("job_file", Goes::File),
    ("params_file", Goes::File),
    ("interactive", Goes::Client),
    ("exit_code_on_stopped", Goes::Client),
    ("job_max_running_time_minutes", Goes::Minutes(&["JobMaxRunningTimeMinutes"])),
    ("job_reserved_minutes", Goes::To(&["Settings", "JobReservedMinutes"])),
    ("job_reserved_policy", Goes::To(&["Settings", "JobReservedPolicy"])),
    ("success_policy", Goes::To(&["SuccessPolicy"])),
    ("envs", Goes::Pairs(&["Envs"])),
    ("tags", Goes::Pairs(&["Settings", "Tags"])),
    ("oversold_type", Goes::To(&["Settings", "OversoldType"])),
    ("driver", Goes::To(&["Settings", "Driver"])),
    ("advanced_settings", Goes::Pairs(&["Settings", "AdvancedSettings"])),
    ("workspace_id", Goes::To(&["WorkspaceId"])),
    ("resource_id", Goes::To(&["ResourceId"])),
    ("priority", Goes::To(&["Priority"])),
    ("region", Goes::Region),
    ("endpoint", Goes::Endpoint),
    ("protocol", Goes::Protocol),
    ("config", Goes::Credential),
    ("access_id", Goes::Credential),
    ("access_key", Goes::Credential),
];

/// A kind of node: the flag with their number, how its other flags begin, and its `Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) count: &'static str,
    pub(super) prefix: &'static str,
    pub(super) kind: &'static str,
}

const fn role(count: &'static str, prefix: &'static str, kind: &'static str) -> Role {
    Role { count, prefix, kind }
}

/// The kinds of nodes.
pub(super) const ROLES: &[Role] = &[
    role("chief", "chief", "Chief"),
    role("masters", "master", "Master"),
    role("ps", "ps", "PS"),
    role("workers", "worker", "Worker"),
    role("evaluators", "evaluator", "Evaluator"),
    role("graphlearns", "graphlearn", "GraphLearn"),
    role("heads", "head", "Head"),
];

/// What follows a role's prefix and `_`, and where it goes in its `JobSpec`.
pub(super) const ROLE_FLAGS: &[(&str, &[&str])] = &[
    ("image", &["Image"]),
    ("spec", &["EcsSpec"]),
    ("cpu", &["ResourceConfig", "CPU"]),
    ("gpu", &["ResourceConfig", "GPU"]),
    ("gpu_type", &["ResourceConfig", "GPUType"]),
    ("memory", &["ResourceConfig", "Memory"]),
    ("shared_memory", &["ResourceConfig", "SharedMemory"]),
];

/// The names of all flags.
pub(super) fn names() -> Vec<String> {
    let roles = ROLES.iter().flat_map(|role| {
        let own = ROLE_FLAGS.iter().map(|(name, _)| format!("{}_{name}", role.prefix));
        std::iter::once(role.count.to_owned()).chain(own)
    });
    FLAGS.iter().map(|(name, _)| (*name).to_owned()).chain(roles).collect()
}
