//! Which machine this is: an id made once, which stands beside what else outlasts the agent.
//!
//! In: the data directory. Out: the id, and the file `host-id`: the id, and on a second line the machine of systemd's `/etc/machine-id`. A copied image whose
//! machine id was made anew, as systemd asks of images (machine-id(5)), is another machine and makes another id.

use std::fs;
use std::io;
use std::path::Path;

use poplin_node::lineage::Id;

use crate::store::chance;

const FILE: &str = "host-id";

/// The id of this machine; absent, with a warning, if it can be kept nowhere: one that changed with each start would be worth nothing.
pub(crate) fn identify(data: &Path) -> Option<Id> {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match identified(data, machine.trim(), Id(chance::seed())) {
        Ok(id) => Some(id),
        Err(error) => {
            let path = data.join(FILE);
            tracing::warn!(
                "{} cannot be kept: {error}; another machine of the same name will not be noticed",
                path.display()
            );
            None
        }
    }
}

fn identified(data: &Path, machine: &str, fresh: Id) -> io::Result<Id> {
    let path = data.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match known(&text, machine) {
            Some(id) => return Ok(id),
            None => {
                tracing::warn!("{} is of another machine, or damaged: this one is {fresh} from now on", path.display())
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir_all(data)?;
    let beside = data.join(format!("{FILE}.new"));
    fs::write(&beside, format!("{fresh}\n{machine}\n"))?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, &path)?;
    Ok(fresh)
}

/// What stands in the file, if it was written on this machine. A person may have written the id alone.
fn known(text: &str, machine: &str) -> Option<Id> {
    let mut lines = text.lines().map(str::trim);
    let id = Id::parse(lines.next()?)?;
    lines
        .next()
        .is_none_or(|written_on| written_on.is_empty() || machine.is_empty() || written_on == machine)
        .then_some(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_machine_keeps_its_id_and_a_copy_of_it_gets_another() {
        let directory = scratch("kept");
        let data = directory.join("poplin");
        let known = |machine, fresh| identified(&data, machine, Id(fresh)).unwrap();

        assert_eq!(known("m1", 1), Id(1));
        assert_eq!(known("m1", 2), Id(1), "the next start");
        assert_eq!(known("", 3), Id(1), "no machine-id to compare with");
        assert_eq!(known("m2", 4), Id(4), "a copy of the disk");
        fs::write(data.join(FILE), "00000000000000aa\n").unwrap();
        assert_eq!(known("m2", 5), Id(0xaa), "written by a person");
        fs::write(data.join(FILE), "garbage").unwrap();
        assert_eq!(known("m2", 6), Id(6));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_id_that_cannot_be_kept_is_none() {
        let directory = scratch("none");
        fs::write(directory.join("file"), "").unwrap();

        assert!(identified(&directory.join("file"), "m", Id(1)).is_err());
        fs::remove_dir_all(directory).unwrap();
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("poplin-machine-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }
}
