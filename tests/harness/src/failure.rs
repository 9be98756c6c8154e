//! Failures that keep a pod from starting.

/// A failure that keeps a pod from starting. It lasts until the pod is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFailure {
    /// The measured container ends with exit code 1 soon after each start.
    CrashLoopBackOff,
    /// The image of the measured container was not found.
    ErrImagePull,
    /// The image was not found, and the kubelet waits before it tries again.
    ImagePullBackOff,
    /// No node has room, so the pod is not bound to a node.
    Unschedulable,
}

impl StartFailure {
    /// All failures.
    pub const ALL: [Self; 4] = [
        Self::CrashLoopBackOff,
        Self::ErrImagePull,
        Self::ImagePullBackOff,
        Self::Unschedulable,
    ];

    /// The reason as the API reports it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::CrashLoopBackOff => "CrashLoopBackOff",
            Self::ErrImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::Unschedulable => "Unschedulable",
        }
    }

    /// The phase of a pod with this failure.
    #[must_use]
    pub fn phase(self) -> &'static str {
        match self {
            Self::CrashLoopBackOff => "Running",
            Self::ErrImagePull | Self::ImagePullBackOff | Self::Unschedulable => "Pending",
        }
    }

    pub(crate) fn of_reason(reason: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|failure| failure.reason() == reason)
    }

    /// The message of the scheduler or the kubelet. `pod` is `NAME_NAMESPACE(UID)`.
    pub(crate) fn message(self, pod: &str, container: &str, image: &str) -> String {
        match self {
            Self::CrashLoopBackOff => {
                format!("back-off 20s restarting failed container={container} pod={pod}")
            }
            Self::ErrImagePull => format!(
                "rpc error: code = NotFound desc = failed to pull and unpack image \
                 \"docker.io/library/{image}\": not found"
            ),
            Self::ImagePullBackOff => format!("Back-off pulling image \"{image}\""),
            Self::Unschedulable => "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 \
                 nodes are available: 3 No preemption victims found for incoming pod."
                .to_owned(),
        }
    }
}
