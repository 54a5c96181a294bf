"""A ripple that runs through a field of glossy columns: builds and animates the scene, and saves it.

Blender runs it. One loop is frames 1 to 48:

    blender --background --factory-startup --python examples/scenes/ripple.py -- ripple.blend 48 320x180
    blender --background ripple.blend --render-output //ripple#### --render-frame 1
"""

import math
import sys

import bpy

SIDE = 15  # columns in a row
SAMPLES = 40


def material(name, colour, *, metallic=0.0, roughness=0.25):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    surface = made.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*colour, 1)
    surface.inputs["Metallic"].default_value = metallic
    surface.inputs["Roughness"].default_value = roughness
    return made


def column_mesh():
    """A cuboid of height 3 whose top is at 0, with bevelled edges."""
    bpy.ops.mesh.primitive_cube_add(size=1)
    cube = bpy.context.object
    cube.scale = (0.88, 0.88, 3)
    cube.location = (0, 0, -1.5)
    bpy.ops.object.transform_apply(location=True, scale=True)
    bevel = cube.modifiers.new("bevel", "BEVEL")
    bevel.width, bevel.segments = 0.07, 3
    bpy.ops.object.modifier_apply(modifier="bevel")
    mesh = cube.data
    bpy.data.objects.remove(cube)
    return mesh


def height(x, y, turn):
    """The top of the column at (x, y): two waves a loop run outwards and die away; ``turn`` is 0 to 1 over the loop."""
    distance = math.hypot(x, y)
    phase = 2 * math.pi * (distance / 5.5 - 2 * turn)
    return 1.15 * math.sin(phase) / (1 + 0.16 * distance)


def build_columns():
    mesh = column_mesh()
    mesh.materials.append(None)
    columns = []
    inner, outer = (0.95, 0.25, 0.05), (0.02, 0.10, 0.42)
    for row in range(SIDE):
        for place in range(SIDE):
            x, y = place - (SIDE - 1) / 2, row - (SIDE - 1) / 2
            share = min(1.0, math.hypot(x, y) / (SIDE * 0.6))
            colour = [a + (b - a) * share for a, b in zip(inner, outer, strict=True)]
            column = bpy.data.objects.new("column", mesh)
            column.location = (x, y, 0)
            # The columns share one mesh, so the colour belongs to the object.
            column.material_slots[0].link = "OBJECT"
            column.material_slots[0].material = material(f"colour{row}-{place}", colour)
            bpy.context.collection.objects.link(column)
            columns.append(column)
    return columns


def build_ball():
    bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=24, radius=1.3)
    ball = bpy.context.object
    bpy.ops.object.shade_smooth()
    ball.data.materials.append(material("gold", (1.0, 0.71, 0.29), metallic=1.0, roughness=0.08))
    return ball


def build_light_and_camera():
    world = bpy.data.worlds.new("dusk")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.05, 0.10, 0.25, 1)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.7
    bpy.context.scene.world = world
    for name, place, energy, size, colour in (
        ("key", (9, -5, 9), 2300, 5, (1.0, 0.80, 0.58)),
        ("rim", (-9, 7, 6), 1300, 4, (0.55, 0.70, 1.0)),
    ):
        light = bpy.data.lights.new(name, "AREA")
        light.energy, light.size, light.color = energy, size, colour
        lamp = bpy.data.objects.new(name, light)
        lamp.location = place
        bpy.context.collection.objects.link(lamp)
        aim(lamp, (0, 0, 0))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens = 42
    bpy.context.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    return camera


def aim(thing, target):
    """Turns a light or a camera, which look along their own -Z, to a point."""
    offset = [b - a for a, b in zip(thing.location, target, strict=True)]
    flat = math.hypot(offset[0], offset[1])
    thing.rotation_euler = (math.atan2(flat, -offset[2]), 0, math.atan2(-offset[0], offset[1]))


def set_up_render(frames, width, height):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.engine = "CYCLES"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = False  # Debian's Blender has no denoiser.
    scene.view_settings.look = "Very High Contrast"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
    scene.render.image_settings.file_format = "PNG"


def animate(frames, columns, ball, camera):
    """A key at every frame, so that no interpolation is seen; frame ``frames`` + 1 would be frame 1 again."""
    for frame in range(1, frames + 1):
        turn = (frame - 1) / frames
        for column in columns:
            column.location.z = height(column.location.x, column.location.y, turn)
            column.keyframe_insert("location", index=2, frame=frame)
        ball.location = (0, 0, 2.3 + 0.9 * height(0, 0, turn - 0.06))
        ball.keyframe_insert("location", frame=frame)
        angle = 0.35 * math.sin(2 * math.pi * turn)
        camera.location = (15.5 * math.sin(angle), -15.5 * math.cos(angle), 8.6)
        aim(camera, (0, 0, 0.4))
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)


def main(path, frames, size):
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    width, _, height = size.partition("x")
    set_up_render(int(frames), int(width), int(height))
    columns, ball, camera = build_columns(), build_ball(), build_light_and_camera()
    animate(int(frames), columns, ball, camera)
    bpy.ops.wm.save_as_mainfile(filepath=path, check_existing=False)


# What stands after "--" is ours, not Blender's.
main(*sys.argv[sys.argv.index("--") + 1 :])
