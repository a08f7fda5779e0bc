//! What can be asked of DLC in a query, with the names of the interface.
//!
//! Begin with [`JobFilter`]. A field that is `None` is not sent.

use crate::dlc::signature::date_text;
use engine::time::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

/// Begin of the time range of every list: without one, jobs older than seven days are not shown.
pub const EARLIEST: Timestamp = Timestamp(946_684_800_000);
/// Jobs on a page: the largest that is known to be accepted.
pub const PAGE_SIZE: i64 = 100;

/// A value as a query has it.
trait QueryValue {
    fn query_text(&self) -> String;
}

impl QueryValue for String {
    fn query_text(&self) -> String {
        self.clone()
    }
}

impl QueryValue for i64 {
    fn query_text(&self) -> String {
        self.to_string()
    }
}

impl QueryValue for bool {
    fn query_text(&self) -> String {
        self.to_string()
    }
}

impl QueryValue for Timestamp {
    fn query_text(&self) -> String {
        date_text(*self)
    }
}

impl QueryValue for Vec<String> {
    fn query_text(&self) -> String {
        self.join(",")
    }
}

/// One parameter with JSON in it.
impl QueryValue for BTreeMap<String, String> {
    fn query_text(&self) -> String {
        json!(self).to_string()
    }
}

macro_rules! query {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty => $key:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: Option<$kind>,)*
        }

        impl $name {
            /// The parameters that are set, by the names of the interface.
            pub fn parameters(&self) -> Vec<(String, String)> {
                let mut parameters = Vec::new();
                $(if let Some(value) = &self.$field {
                    parameters.push(($key.to_owned(), QueryValue::query_text(value)));
                })*
                parameters
            }
        }
    };
}

query! {
/// Which jobs `ListJobs` gives.
JobFilter {
    /// `PRIVATE` or `PUBLIC`.
    accessibility: String => "Accessibility",
    /// The same field of the settings.
    business_user_id: String => "BusinessUserId",
    /// The same field of the settings.
    caller: String => "Caller",
    /// Searched for in the description.
    description: String => "Description",
    /// Part of the name, in any case; no wildcards.
    display_name: String => "DisplayName",
    /// Not documented beyond its default: do not depend on it.
    display_name_search_mode: String => "DisplayNameSearchMode",
    /// Whether nodes are assigned.
    enable_assign_node: String => "EnableAssignNode",
    /// End of the time range.
    end_time: Timestamp => "EndTime",
    /// Only together with `show_own`.
    from_all_workspaces: bool => "FromAllWorkspaces",
    /// Searched for in the image.
    image_search: String => "ImageSearch",
    /// One job; wins over `job_ids`.
    job_id: String => "JobId",
    /// These jobs.
    job_ids: Vec<String> => "JobIds",
    /// Such as `PyTorchJob`.
    job_type: String => "JobType",
    /// The field of the numeric range, such as `RequestGPU`.
    numeric_range_field: String => "NumericRangeField",
    /// Its upper end.
    numeric_range_max: i64 => "NumericRangeMax",
    /// Its lower end.
    numeric_range_min: i64 => "NumericRangeMin",
    /// `desc` (default) or `asc`.
    order: String => "Order",
    /// How oversold resources are used.
    oversold_info: String => "OversoldInfo",
    /// From 1.
    page_number: i64 => "PageNumber",
    /// At most [`PAGE_SIZE`].
    page_size: i64 => "PageSize",
    /// `PrePaid`, `Spot` or `PostPaid`.
    payment_type: String => "PaymentType",
    /// The same field of the settings.
    pipeline_id: String => "PipelineId",
    /// Searched for in the reason.
    reason_search: String => "ReasonSearch",
    /// The quota.
    resource_id: String => "ResourceId",
    /// Several quotas, separated by commas.
    resource_ids: String => "ResourceIds",
    /// Part of the name of the quota.
    resource_quota_name: String => "ResourceQuotaName",
    /// Only those of the caller.
    show_own: bool => "ShowOwn",
    /// `DisplayName`, `JobType`, `Status`, `GmtCreateTime` or `GmtFinishTime`.
    sort_by: String => "SortBy",
    /// Begin of the time range. Without it, jobs older than 7 days are not shown.
    start_time: Timestamp => "StartTime",
    /// One status by its name.
    status: String => "Status",
    /// Tags that a job must have.
    tags: BTreeMap<String, String> => "Tags",
    /// Of the template.
    template_id: String => "TemplateId",
    /// The field of the time range; the time of creation by default.
    time_range_field: String => "TimeRangeField",
    /// Searched for in the command.
    user_command_search: String => "UserCommandSearch",
    /// The submitter.
    user_id_for_filter: String => "UserIdForFilter",
    /// Part of the name of the submitter.
    username: String => "Username",
    /// The workspace.
    workspace_id: String => "WorkspaceId",
}
}

query! {
/// Which lines `GetPodLogs` gives: the first `max_lines` of the time range, as far as is known.
LogQuery {
    /// Only these containers.
    containers: Vec<String> => "Containers",
    /// End of the time range; now by default.
    end_time: Timestamp => "EndTime",
    /// Most lines; 2000 by default.
    max_lines: i64 => "MaxLines",
    /// The incarnation of the pod.
    pod_uid: String => "PodUid",
    /// Begin of the time range; 7 days ago by default.
    start_time: Timestamp => "StartTime",
}
}

query! {
/// Which events `GetJobEvents` and `GetPodEvents` give.
EventQuery {
    /// End of the time range.
    end_time: Timestamp => "EndTime",
    /// Most events.
    max_events: i64 => "MaxEventsNum",
    /// The incarnation of the pod; for events of pods only.
    pod_uid: String => "PodUid",
    /// Begin of the time range.
    start_time: Timestamp => "StartTime",
}
}

query! {
/// Which machines `ListEcsSpecs` gives.
SpecQuery {
    /// `CPU` or `GPU`.
    accelerator: String => "AcceleratorType",
    /// These types, separated by commas.
    instance_types: String => "InstanceTypes",
    /// `desc` or `asc`.
    order: String => "Order",
    /// From 1.
    page_number: i64 => "PageNumber",
    /// At most [`PAGE_SIZE`].
    page_size: i64 => "PageSize",
    /// Such as `ECS`.
    resource_type: String => "ResourceType",
    /// A field to sort by.
    sort_by: String => "SortBy",
}
}
