//! The fields of a `CreateJob` request under their names on the wire, with their types.
//!
//! As in the official SDK's interface, `alibabacloud_pai_dlc20201203` 1.11.6; a test compares them with its data. Begin
//! with [`CREATE_JOB_REQUEST`]. Nothing here says which values make sense: that is [`super::rules`].

use Kind::{AnyMap, Flag, Model, Models, Number, Secret, Text, TextMap, Texts, Whole, Wholes};

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text that must not be recorded.
    Secret,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Wholes,
    /// Names and texts.
    TextMap,
    /// Names and anything.
    AnyMap,
    /// A part with fields of its own.
    Model(&'static Fields),
    /// A list of such parts.
    Models(&'static Fields),
}

/// A part of the request: its fields, by name.
pub(super) type Fields = [(&'static str, Kind)];

/// The whole request.
pub(super) static CREATE_JOB_REQUEST: &Fields = &[
    ("Accessibility", Text),
    ("CodeSource", Model(CREATE_JOB_REQUEST_CODE_SOURCE)),
    ("CredentialConfig", Model(CREDENTIAL_CONFIG)),
    ("CustomEnvs", Models(CREATE_JOB_REQUEST_CUSTOM_ENVS)),
    ("DataSources", Models(CREATE_JOB_REQUEST_DATA_SOURCES)),
    ("DebuggerConfigContent", Text),
    ("Description", Text),
    ("DisplayName", Text),
    ("ElasticSpec", Model(JOB_ELASTIC_SPEC)),
    ("Envs", TextMap),
    ("JobMaxRunningTimeMinutes", Whole),
    ("JobSpecs", Models(JOB_SPEC)),
    ("JobType", Text),
    ("Options", Text),
    ("Priority", Whole),
    ("ResourceId", Text),
    ("SchedulingStrategy", Text),
    ("Settings", Model(JOB_SETTINGS)),
    ("SuccessPolicy", Text),
    ("TemplateId", Text),
    ("TemplateVersion", Whole),
    ("ThirdpartyLibDir", Text),
    ("ThirdpartyLibs", Texts),
    ("UserCommand", Text),
    ("UserVpc", Model(CREATE_JOB_REQUEST_USER_VPC)),
    ("WorkspaceId", Text),
];
static CREATE_JOB_REQUEST_CODE_SOURCE: &Fields = &[
    ("Branch", Text),
    ("CodeSourceId", Text),
    ("Commit", Text),
    ("IsSharedMountPath", Flag),
    ("MountPath", Text),
];
static CREDENTIAL_CONFIG: &Fields = &[
    ("AliyunEnvRoleKey", Text),
    ("CredentialConfigItems", Models(CREDENTIAL_CONFIG_ITEM)),
    ("EnableCredentialInject", Flag),
];
static CREATE_JOB_REQUEST_CUSTOM_ENVS: &Fields = &[("Key", Text), ("Value", Text), ("Visible", Text)];
static CREATE_JOB_REQUEST_DATA_SOURCES: &Fields = &[
    ("AccessPointId", Text),
    ("DataSourceId", Text),
    ("DataSourceVersion", Text),
    ("EnableCache", Flag),
    ("MountAccess", Text),
    ("MountPath", Text),
    ("Options", Text),
    ("RoleArn", Text),
    ("RoleChain", Text),
    ("Uri", Text),
];
static JOB_ELASTIC_SPEC: &Fields = &[
    ("AIMasterDockerImage", Text),
    ("AIMasterType", Text),
    ("EDPMaxParallelism", Whole),
    ("EDPMinParallelism", Whole),
    ("ElasticStrategy", Text),
    ("EnableAIMaster", Flag),
    ("EnableEDP", Flag),
    ("EnableElasticTraining", Flag),
    ("EnablePsJobElasticPS", Flag),
    ("EnablePsJobElasticWorker", Flag),
    ("EnablePsResourceEstimate", Flag),
    ("MaxParallelism", Whole),
    ("MinParallelism", Whole),
    ("PSMaxParallelism", Whole),
    ("PSMinParallelism", Whole),
];
static JOB_SPEC: &Fields = &[
    ("AssignNodeSpec", Model(ASSIGN_NODE_SPEC)),
    ("AutoScalingSpec", Model(AUTO_SCALING_SPEC)),
    ("ConsiderInSuccessPolicy", Flag),
    ("Driver", Text),
    ("EcsSpec", Text),
    ("ElasticSpotSpecs", Models(ELASTIC_SPOT_SPEC)),
    ("ExtraPodSpec", Model(EXTRA_POD_SPEC)),
    ("HyperNodeSchedulingConfig", Model(HYPER_NODE_SCHEDULING_CONFIG)),
    ("Image", Text),
    ("ImageConfig", Model(IMAGE_CONFIG)),
    ("IsCheif", Flag),
    ("IsChief", Flag),
    ("LocalMountSpecs", Models(LOCAL_MOUNT_SPEC)),
    ("OversoldType", Text),
    ("PodCount", Whole),
    ("QuotaId", Text),
    ("ResourceConfig", Model(RESOURCE_CONFIG)),
    ("RestartPolicy", Text),
    ("ServiceSpec", Model(SERVICE_SPEC)),
    ("SpotSpec", Model(SPOT_SPEC)),
    ("StartupDependencies", Models(STARTUP_DEPENDENCY)),
    ("SystemDisk", Model(SYSTEM_DISK)),
    ("Type", Text),
    ("UseSpotInstance", Flag),
    ("UserCommand", Text),
];
static JOB_SETTINGS: &Fields = &[
    ("AdvancedSettings", AnyMap),
    ("AllocateAllRDMADevices", Flag),
    ("AllowUnschedulableNodes", Flag),
    ("BusinessUserId", Text),
    ("Caller", Text),
    ("DataJuicerConfig", Model(DATA_JUICER_CONFIG)),
    ("DisableEcsStockCheck", Flag),
    ("Driver", Text),
    ("ElasticSpotJobMaxRestartTimes", Whole),
    ("EnableCPUAffinity", Flag),
    ("EnableDSWDev", Flag),
    ("EnableErrorMonitoringInAIMaster", Flag),
    ("EnableOssAppend", Flag),
    ("EnableRDMA", Flag),
    ("EnableSanityCheck", Flag),
    ("EnableTideResource", Flag),
    ("ErrorMonitoringArgs", Text),
    ("JobReservedMinutes", Whole),
    ("JobReservedPolicy", Text),
    ("ModelConfig", Model(MODEL_CONFIG)),
    ("OversoldType", Text),
    ("PipelineId", Text),
    ("SanityCheckArgs", Text),
    ("Shell", Text),
    ("Tags", TextMap),
    ("TerminationGracePeriodSeconds", Whole),
];
static CREATE_JOB_REQUEST_USER_VPC: &Fields = &[
    ("DefaultRoute", Text),
    ("ExtendedCIDRs", Texts),
    ("SecurityGroupId", Text),
    ("SwitchId", Text),
    ("VpcId", Text),
];
static CREDENTIAL_CONFIG_ITEM: &Fields = &[("Key", Text), ("Roles", Models(CREDENTIAL_ROLE)), ("Type", Text)];
static ASSIGN_NODE_SPEC: &Fields = &[
    ("AntiAffinityHyperNodes", Models(HYPER_NODE_SPEC)),
    ("AntiAffinityNodeNames", Text),
    ("EnableAssignNode", Flag),
    ("HyperNodes", Models(HYPER_NODE_SPEC)),
    ("NodeNames", Text),
];
static AUTO_SCALING_SPEC: &Fields = &[
    ("AutoscalingMetricSpec", Model(AUTOSCALING_METRIC_SPEC)),
    ("MaxReplicas", Whole),
    ("MinReplicas", Whole),
    ("PodsToDelete", Texts),
    ("ScalingStrategy", Text),
];
static ELASTIC_SPOT_SPEC: &Fields = &[
    ("InstanceType", Text),
    ("SpotDiscountLimit", Number),
    ("SpotPriceLimit", Number),
    ("SpotStrategy", Text),
];
static EXTRA_POD_SPEC: &Fields = &[
    ("InitContainers", Models(CONTAINER_SPEC)),
    ("Lifecycle", Model(LIFECYCLE)),
    ("MainContainerSecurityContext", Model(SECURITY_CONTEXT)),
    ("PodAnnotations", TextMap),
    ("PodLabels", TextMap),
    ("SharedVolumeMountPaths", Texts),
    ("SideCarContainers", Models(CONTAINER_SPEC)),
];
static HYPER_NODE_SCHEDULING_CONFIG: &Fields = &[("MinAvailable", Whole), ("QualityPolicy", Text)];
static IMAGE_CONFIG: &Fields =
    &[("Auth", Secret), ("DockerRegistry", Text), ("Password", Secret), ("Username", Text)];
static LOCAL_MOUNT_SPEC: &Fields = &[("LocalPath", Text), ("MountMode", Text), ("MountPath", Text)];
static RESOURCE_CONFIG: &Fields =
    &[("CPU", Text), ("GPU", Text), ("GPUType", Text), ("Memory", Text), ("SharedMemory", Text)];
static SERVICE_SPEC: &Fields = &[("DefaultPort", Whole), ("ExtraPorts", Wholes), ("ServiceMode", Text)];
static SPOT_SPEC: &Fields =
    &[("SpotDiscountLimit", Number), ("SpotPriceLimit", Number), ("SpotStrategy", Text)];
static STARTUP_DEPENDENCY: &Fields = &[("MinReplicas", Text), ("OnPhase", Text), ("Type", Text)];
static SYSTEM_DISK: &Fields = &[("Category", Text), ("PerformanceLevel", Text), ("Size", Whole)];
static DATA_JUICER_CONFIG: &Fields = &[
    ("CommandType", Text),
    ("EnableResourceEstimation", Flag),
    ("ExecutionMode", Text),
    ("ResourceLimit", Model(RESOURCE_LIMIT)),
];
static MODEL_CONFIG: &Fields = &[("ModelName", Text), ("ModelTemplate", Model(MODEL_TEMPLATE))];
static CREDENTIAL_ROLE: &Fields = &[
    ("AssumeRoleFor", Text),
    ("AssumeUserInfo", Model(ASSUME_USER_INFO)),
    ("Policy", Text),
    ("RoleArn", Text),
    ("RoleType", Text),
];
static HYPER_NODE_SPEC: &Fields = &[("HyperNodeName", Text), ("NodeNames", Text)];
static AUTOSCALING_METRIC_SPEC: &Fields = &[
    ("MetricName", Text),
    ("StabilizationWindowSeconds", Whole),
    ("TargetValue", Whole),
    ("Tolerance", Text),
];
static CONTAINER_SPEC: &Fields = &[
    ("Args", Texts),
    ("Command", Texts),
    ("Env", Models(ENV_VAR)),
    ("Image", Text),
    ("Name", Text),
    ("Resources", Model(RESOURCE_REQUIREMENTS)),
    ("SecurityContext", Model(SECURITY_CONTEXT)),
    ("WorkingDir", Text),
];
static LIFECYCLE: &Fields =
    &[("PostStart", Model(LIFECYCLE_POST_START)), ("PreStop", Model(LIFECYCLE_PRE_STOP))];
static SECURITY_CONTEXT: &Fields = &[
    ("Capabilities", Model(SECURITY_CONTEXT_CAPABILITIES)),
    ("Privileged", Flag),
    ("RunAsGroup", Whole),
    ("RunAsUser", Whole),
    ("SeccompProfile", Model(SECCOMP_PROFILE)),
];
static RESOURCE_LIMIT: &Fields = &[("CPU", Text), ("GPU", Text), ("Memory", Text)];
static MODEL_TEMPLATE: &Fields = &[("Collections", Text), ("ModelName", Text), ("Provider", Text)];
static ASSUME_USER_INFO: &Fields =
    &[("AccessKeyId", Text), ("Id", Text), ("SecurityToken", Secret), ("Type", Text)];
static ENV_VAR: &Fields = &[("Name", Text), ("Value", Text)];
static RESOURCE_REQUIREMENTS: &Fields = &[("Limits", TextMap), ("Requests", TextMap)];
static LIFECYCLE_POST_START: &Fields = &[("Exec", Model(LIFECYCLE_POST_START_EXEC))];
static LIFECYCLE_PRE_STOP: &Fields = &[("Exec", Model(LIFECYCLE_PRE_STOP_EXEC))];
static SECURITY_CONTEXT_CAPABILITIES: &Fields = &[("Add", Texts), ("Drop", Texts)];
static SECCOMP_PROFILE: &Fields = &[("LocalhostProfile", Text), ("Type", Text)];
static LIFECYCLE_POST_START_EXEC: &Fields = &[("Command", Texts)];
static LIFECYCLE_PRE_STOP_EXEC: &Fields = &[("Command", Texts)];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn compare(models: &Value, name: &str, fields: &Fields, seen: &mut Vec<String>) {
        if seen.iter().any(|known| known == name) {
            return;
        }
        seen.push(name.to_owned());
        let expected = models.get(name).and_then(Value::as_object).unwrap();
        let names: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        assert_eq!(names, expected.keys().map(String::as_str).collect::<Vec<_>>(), "{name}");
        for (field, kind) in fields {
            let wire = expected[*field]["type"].as_str().unwrap();
            let part = wire.strip_prefix("List[").and_then(|rest| rest.strip_suffix(']'));
            match kind {
                Text | Secret => assert_eq!(wire, "str", "{name}.{field}"),
                Whole => assert_eq!(wire, "int", "{name}.{field}"),
                Number => assert_eq!(wire, "float", "{name}.{field}"),
                Flag => assert_eq!(wire, "bool", "{name}.{field}"),
                Texts => assert_eq!(part, Some("str"), "{name}.{field}"),
                Wholes => assert_eq!(part, Some("int"), "{name}.{field}"),
                TextMap => assert_eq!(wire, "Dict[str, str]", "{name}.{field}"),
                AnyMap => assert_eq!(wire, "Dict[str, Any]", "{name}.{field}"),
                Model(inner) => compare(models, wire, inner, seen),
                Models(inner) => compare(models, part.unwrap(), inner, seen),
            }
        }
    }

    #[test]
    fn every_field_of_the_sdk_is_here_with_its_type_and_no_other() {
        let text = include_str!("../../tests/vectors/dlc/schema.json");
        let schema: Value = serde_json::from_str(text).unwrap();
        let mut seen = Vec::new();
        compare(&schema["models"], "CreateJobRequest", CREATE_JOB_REQUEST, &mut seen);
        assert_eq!(seen.len(), 41, "{seen:?}");
    }
}
