//! The images, as docker-compose.yml pins them.

use testcontainers::GenericImage;

use crate::engine::Failure;

pub(crate) const POSTGRES: Image = Image("STACK_POSTGRES_IMAGE");
pub(crate) const REDIS: Image = Image("STACK_REDIS_IMAGE");
/// Where the defaults stand: tests are to run on what people run.
const COMPOSE: &str = include_str!("../../../../../docker-compose.yml");

/// An image, under the variable of docker-compose.yml that may name another one.
#[derive(Clone, Copy)]
pub(crate) struct Image(&'static str);

impl Image {
    /// Its name with the tag.
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment says which images stand in, as it does for docker-compose.yml"
    )]
    pub(crate) fn name(self) -> String {
        let named = std::env::var(self.0).ok().filter(|name| !name.is_empty());
        named.unwrap_or_else(|| self.pinned().to_owned())
    }

    fn pinned(self) -> &'static str {
        let variable = format!("${{{}:-", self.0);
        let rest = COMPOSE.split_once(&variable).map(|(_, rest)| rest);
        let name = rest.and_then(|rest| rest.split_once('}'));
        name.map_or("", |(name, _)| name)
    }

    pub(crate) fn generic(self) -> GenericImage {
        let name = self.name();
        match name.rsplit_once(':') {
            // What follows the colon of a registry's port has a slash.
            Some((name, tag)) if !tag.contains('/') => GenericImage::new(name, tag),
            _ => GenericImage::new(name.as_str(), "latest"),
        }
    }

    /// Why it is of no use.
    pub(crate) fn fails(
        self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Failure {
        Failure::Image {
            image: self.name(),
            variable: self.0,
            cause: cause.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_compose() {
        for (image, name) in [(POSTGRES, "postgres:"), (REDIS, "redis:")] {
            assert!(image.pinned().starts_with(name), "{}", image.pinned());
        }
    }
}
