//! The projected volumes of a container.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, KeyToPath, Pod, ServiceAccount, VolumeProjection},
};
use kube::{Api, ResourceExt as _, api::PostParams};

use super::{container, write};
use crate::{Error, Result, manifest};

/// The link to the directory with the current files. Consumers of a volume see a change of it.
const DATA: &str = "..data";

/// A volume with its files.
pub(super) struct Volume {
    /// The directory that is mounted.
    dir: PathBuf,
    sources: Vec<VolumeProjection>,
    access: Access,
    files: Files,
    /// The number of times that the files were written.
    generation: u32,
}

/// The files of a volume by their paths.
type Files = BTreeMap<PathBuf, VolumeFile>;

#[derive(Debug, PartialEq, Eq)]
struct VolumeFile {
    data: Vec<u8>,
    user: u32,
    group: Option<u32>,
    mode: u32,
}

/// The access to the files of a volume.
#[derive(Clone, Copy)]
struct Access {
    user: u32,
    /// `fsGroup` of the pod.
    group: Option<u32>,
    /// `defaultMode` of the volume.
    mode: Option<u32>,
}

/// Writes the files of each volume of the pod's container, and the path of its mount: a directory
/// for each in `dir`.
pub(super) async fn mount(
    client: &kube::Client,
    pod: &Pod,
    dir: &Path,
    user: i64,
) -> Result<Vec<Volume>> {
    let wrong = |message: String| Error::Document {
        what: format!("pod {}", pod.name_any()),
        message,
    };
    let spec = pod.spec.clone().unwrap_or_default();
    let mounts = container(pod).and_then(|container| container.volume_mounts.clone());
    let mut volumes = Vec::new();
    for mount in mounts.unwrap_or_default() {
        let volume = spec.volumes.iter().flatten();
        let volume = volume.clone().find(|volume| volume.name == mount.name);
        let projected = volume.and_then(|volume| volume.projected.clone());
        let projected = projected
            .ok_or_else(|| wrong(format!("its volume {} is not projected", mount.name)))?;
        let dir = dir.join(volumes.len().to_string());
        let files = dir.join("files");
        std::fs::create_dir_all(&files).map_err(Error::io("create a volume"))?;
        // `/var/run` is a symbolic link.
        let path = mount.mount_path.replacen("/var/run/", "/run/", 1);
        write(&dir.join("path"), &path)?;
        let group = spec
            .security_context
            .as_ref()
            .and_then(|context| context.fs_group);
        let mut volume = Volume {
            dir: files,
            sources: projected.sources.unwrap_or_default(),
            access: Access {
                user: u32::try_from(user).unwrap_or(0),
                group: group.and_then(|group| u32::try_from(group).ok()),
                mode: projected
                    .default_mode
                    .and_then(|mode| u32::try_from(mode).ok()),
            },
            files: Files::new(),
            generation: 0,
        };
        volume.fill(client, pod).await?;
        volumes.push(volume);
    }
    if volumes.is_empty() {
        return Err(wrong("it has no projected volume".to_owned()));
    }
    Ok(volumes)
}

impl Volume {
    /// Reads the sources again and writes the files if they changed. A token stays as it is: it is
    /// valid for longer than a test.
    pub(super) async fn refresh(&mut self, client: &kube::Client, pod: &Pod) -> Result<()> {
        let has_token = |source: &VolumeProjection| source.service_account_token.is_some();
        if self.sources.iter().any(has_token) {
            return Ok(());
        }
        self.fill(client, pod).await
    }

    async fn fill(&mut self, client: &kube::Client, pod: &Pod) -> Result<()> {
        let mut files = Files::new();
        for source in &self.sources {
            project(client, pod, source, self.access, &mut files).await?;
        }
        if files != self.files {
            self.write(&files)?;
            self.files = files;
        }
        Ok(())
    }

    /// Writes the files as a kubelet does: to a new directory, to which the link `..data` is then
    /// moved. Each path of the volume is a link into `..data`, so all files change at once.
    fn write(&mut self, files: &Files) -> Result<()> {
        let failed = |path: &Path| Error::io(format!("write {}", path.display()));
        let name = format!("..{}", self.generation);
        let dir = self.dir.join(&name);
        for (path, file) in files {
            let path = dir.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(failed(&path))?;
            }
            std::fs::write(&path, &file.data).map_err(failed(&path))?;
            let mode = std::fs::Permissions::from_mode(file.mode);
            std::fs::set_permissions(&path, mode).map_err(failed(&path))?;
            chown(&path, Some(file.user), file.group).map_err(failed(&path))?;
        }
        let link = self.dir.join("..data_tmp");
        symlink(&name, &link).map_err(failed(&link))?;
        std::fs::rename(&link, self.dir.join(DATA)).map_err(failed(&link))?;
        let first = |path: &PathBuf| path.iter().next().map(PathBuf::from);
        let entries: BTreeSet<PathBuf> = files.keys().filter_map(first).collect();
        for entry in entries {
            let link = self.dir.join(&entry);
            if std::fs::symlink_metadata(&link).is_err() {
                symlink(Path::new(DATA).join(&entry), &link).map_err(failed(&link))?;
            }
        }
        if let Some(before) = self.generation.checked_sub(1) {
            let before = self.dir.join(format!("..{before}"));
            std::fs::remove_dir_all(&before).map_err(failed(&before))?;
        }
        self.generation += 1;
        Ok(())
    }
}

/// Adds the files of one source of a projected volume. A token is readable by the pod's user only.
async fn project(
    client: &kube::Client,
    pod: &Pod,
    source: &VolumeProjection,
    access: Access,
    files: &mut Files,
) -> Result<()> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let own = |text: String| VolumeFile {
        data: text.into_bytes(),
        user: access.user,
        group: Some(access.user),
        mode: 0o400,
    };
    if let Some(projection) = &source.service_account_token {
        let spec = pod.spec.clone().unwrap_or_default();
        let account = spec.service_account_name.unwrap_or_default();
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(projection.audience.clone().into_iter().collect()),
                expiration_seconds: projection.expiration_seconds,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(name.clone()),
                    uid: pod.uid(),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let answer = Api::<ServiceAccount>::namespaced(client.clone(), &namespace)
            .create_token_request(&account, &PostParams::default(), &request)
            .await
            .map_err(Error::kube(format!("request a token for {account}")))?;
        let token = answer.status.and_then(|status| status.token);
        files.insert(
            PathBuf::from(&projection.path),
            own(token.unwrap_or_default()),
        );
        return Ok(());
    }
    if let Some(projection) = &source.config_map {
        let map = projection.name.as_str();
        let found = Api::<ConfigMap>::namespaced(client.clone(), &namespace)
            .get(map)
            .await
            .map_err(Error::kube(format!("read ConfigMap {map}")))?;
        let data = found.data.unwrap_or_default().into_iter();
        let data = data.map(|(key, text)| (key, text.into_bytes())).collect();
        share(&data, projection.items.as_deref(), access, files);
        return Ok(());
    }
    if let Some(projection) = &source.secret {
        let data = manifest::secret_data(client, &namespace, &projection.name).await?;
        share(&data, projection.items.as_deref(), access, files);
        return Ok(());
    }
    if let Some(projection) = &source.downward_api {
        for item in projection.items.iter().flatten() {
            files.insert(PathBuf::from(&item.path), own(namespace.clone()));
        }
        return Ok(());
    }
    Err(Error::Document {
        what: format!("pod {name}"),
        message: format!("its volume has {source:?}, unknown to the harness"),
    })
}

/// Adds the items of a ConfigMap or Secret, or all of it without items, with the owner and mode
/// that a kubelet gives them.
fn share(
    data: &BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    access: Access,
    files: &mut Files,
) {
    let paths: Vec<(&str, &str)> = match items {
        Some(items) => items
            .iter()
            .map(|item| (item.key.as_str(), item.path.as_str()))
            .collect(),
        None => data
            .keys()
            .map(|key| (key.as_str(), key.as_str()))
            .collect(),
    };
    for (key, path) in paths {
        let file = VolumeFile {
            data: data.get(key).cloned().unwrap_or_default(),
            user: 0,
            group: access.group,
            mode: access.mode.unwrap_or(0o644),
        };
        files.insert(PathBuf::from(path), file);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn files(user: u32, entries: &[(&str, &str)]) -> Files {
        let file = |text: &str| VolumeFile {
            data: text.as_bytes().to_vec(),
            user,
            group: None,
            mode: 0o640,
        };
        let entries = entries.iter();
        entries
            .map(|(path, text)| (PathBuf::from(path), file(text)))
            .collect()
    }

    #[test]
    fn files_change_by_the_link_to_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        let user = std::fs::metadata(dir.path()).unwrap().uid();
        let mut volume = Volume {
            dir: dir.path().to_owned(),
            sources: Vec::new(),
            access: Access {
                user: 0,
                group: None,
                mode: None,
            },
            files: Files::new(),
            generation: 0,
        };
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path)).unwrap();
        let target = || std::fs::read_link(dir.path().join(DATA)).unwrap();
        volume
            .write(&files(
                user,
                &[("config.yaml", "one"), ("files/key", "secret")],
            ))
            .unwrap();
        assert_eq!(
            (read("config.yaml"), read("files/key")),
            ("one".into(), "secret".into())
        );
        let first = target();
        volume
            .write(&files(
                user,
                &[("config.yaml", "two"), ("files/key", "secret")],
            ))
            .unwrap();
        assert_eq!(read("config.yaml"), "two");
        assert_ne!(target(), first);
        assert!(!dir.path().join(first).exists());
        let link = std::fs::read_link(dir.path().join("config.yaml")).unwrap();
        assert_eq!(link, Path::new("..data/config.yaml"));
    }
}
