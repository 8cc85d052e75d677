//! The container engine, and the containers of this run.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::TcpListener;

use portcullis_common::entropy::{EntropyError, SystemEntropy, random_text};
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::models::PortBinding;
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::{ClientError, docker_client_instance};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{
    ContainerAsync, ContainerRequest, GenericImage, ImageExt as _, TestcontainersError,
};

use crate::images::{Image, POSTGRES, REDIS};

/// Which run a container belongs to.
const LABEL: &str = "portcullis.test.run";

/// Why there is no result of the command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "no container engine answers, so nothing was tried: start Docker, or say in DOCKER_HOST where it is: {0}"
    )]
    NoEngine(Box<dyn std::error::Error + Send + Sync>),
    #[error("{image} does not run ({variable} names another image): {cause}")]
    Image {
        image: String,
        variable: &'static str,
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("containers of this run may have been left behind: {0}")]
    Removal(#[from] EngineError),
    #[error("the container of PostgreSQL went away: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl Failure {
    /// What the runner exits with.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::NoEngine(_) => crate::NOT_CHECKED,
            _ => 1,
        }
    }
}

/// A container that runs, and the port of this machine's loopback at which it is reached.
pub(crate) struct Running {
    pub(crate) container: ContainerAsync<GenericImage>,
    pub(crate) port: u16,
}

/// An engine that answers, and the mark of this run's containers.
#[derive(Clone)]
pub(crate) struct Engine {
    client: Docker,
    version: String,
    run: String,
}

impl Engine {
    /// The engine that `DOCKER_HOST` or the usual socket leads to.
    pub(crate) async fn find() -> Result<Self, Failure> {
        let found = async {
            let client = docker_client_instance().await?;
            let version = client.version().await.map_err(ClientError::Init)?;
            Ok::<_, ClientError>((client, version.version.unwrap_or_default()))
        };
        let (client, version) = found
            .await
            .map_err(|cause| Failure::NoEngine(cause.into()))?;
        let run = random_text::<16>(&SystemEntropy)?;
        Ok(Self {
            client,
            version,
            run,
        })
    }

    /// Starts a container whose inner port is published at a free port of the loopback address.
    pub(crate) async fn start(
        &self,
        image: Image,
        inner: u16,
        configure: impl Fn(ContainerRequest<GenericImage>) -> ContainerRequest<GenericImage>,
    ) -> Result<Running, Failure> {
        let mut tries = 0;
        loop {
            let port = free_port()?;
            let request = configure(publish(image.generic().into(), inner, port));
            match request.with_label(LABEL, &self.run).start().await {
                Ok(container) => return Ok(Running { container, port }),
                // Somebody else took the port meanwhile.
                Err(cause) if is_taken(&cause) && tries < 5 => tries += 1,
                Err(cause) => return Err(image.fails(cause)),
            }
        }
    }

    /// Removes every container of this run with its volumes, those that never came up included.
    pub(crate) async fn remove_all(&self) -> Result<(), EngineError> {
        let label = format!("{LABEL}={}", self.run);
        let ours = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&HashMap::from([("label", vec![label.as_str()])]))
            .build();
        let with_volumes = RemoveContainerOptionsBuilder::new().force(true).v(true);
        for container in self.client.list_containers(Some(ours)).await? {
            let id = container.id.unwrap_or_default();
            let options = Some(with_volumes.clone().build());
            self.client.remove_container(&id, options).await?;
        }
        Ok(())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (postgres, redis) = (POSTGRES.name(), REDIS.name());
        write!(formatter, "engine {}, {postgres}, {redis}", self.version)
    }
}

/// Nobody on the network is to reach a container without a password.
fn publish(
    request: ContainerRequest<GenericImage>,
    inner: u16,
    port: u16,
) -> ContainerRequest<GenericImage> {
    request.with_host_config_modifier(move |host| {
        let binding = PortBinding {
            host_ip: Some("127.0.0.1".to_owned()),
            host_port: Some(port.to_string()),
        };
        host.publish_all_ports = Some(false);
        host.port_bindings = Some(HashMap::from([(
            format!("{inner}/tcp"),
            Some(vec![binding]),
        )]));
    })
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn is_taken(cause: &TestcontainersError) -> bool {
    matches!(
        cause,
        TestcontainersError::Client(ClientError::StartContainer(_))
    ) && cause.to_string().contains("already")
}
