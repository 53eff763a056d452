//! The manual page, in roff. It is made from the definition of the commands, their examples and the explanations in the
//! `.roff` files beside this one.

use crate::command::definition;
use crate::{examples, letters};
use std::io::{self, Write};

/// The manual page: every command with its flags, from their one definition.
pub fn page() -> Vec<u8> {
    let mut page = Vec::new();
    let mut command = definition();
    command.build();
    let mut write = || -> io::Result<()> {
        let main = clap_mangen::Man::new(command.clone());
        main.render_title(&mut page)?;
        main.render_name_section(&mut page)?;
        main.render_synopsis_section(&mut page)?;
        main.render_description_section(&mut page)?;
        for sub in command.get_subcommands() {
            let name = sub.get_name().to_owned();
            if name == "help" {
                continue;
            }
            writeln!(page, ".SH \"GRISTMILL {}\"", name.to_uppercase())?;
            let sub = clap_mangen::Man::new(sub.clone());
            let mut section = Vec::new();
            sub.render_description_section(&mut section)?;
            sub.render_synopsis_section(&mut section)?;
            sub.render_options_section(&mut section)?;
            // Sections of a command are subsections of the page.
            let text = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
            page.write_all(text.as_bytes())?;
            page.write_all(examples::roff(&name).as_bytes())?;
        }
        page.write_all(letters::roff(&command).as_bytes())?;
        page.write_all(EXPLANATIONS.as_bytes())?;
        page.write_all(DIFFERENCES.as_bytes())
    };
    // Writing to memory does not fail.
    let _ = write();
    page
}

/// Files in and out, records of JSON, the terms of --stats, and the shipped programs; part of the manual page.
const EXPLANATIONS: &str = include_str!("explanations.roff");

/// How `scan` differs from ripgrep; part of the manual page.
const DIFFERENCES: &str = include_str!("differences.roff");
